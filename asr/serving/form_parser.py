"""Starlette's parser of forms, but that all fields which are no files share one limit: they are in memory."""

from starlette.formparsers import MultiPartException, MultiPartParser


class FormParser(MultiPartParser):
    """Parses a form whose fields other than files may have `max_part_size` bytes together."""

    in_memory = 0
    """Bytes of these fields so far."""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self.in_memory += end - start
            if self.in_memory > self.max_part_size:
                raise MultiPartException(
                    f"fields that are no files may have {self.max_part_size // 2**20} MiB together, have more"
                )
        super().on_part_data(data, start, end)
