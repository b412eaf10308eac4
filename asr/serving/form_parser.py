"""Starlette's parser of forms, but that all fields which are no files share one limit, for they are in memory; and that the
recording is a file whatever a client says of it."""

from starlette.formparsers import MultiPartException, MultiPartParser

RECORDING = "file"
"""The field that holds it."""


class FormParser(MultiPartParser):
    """Parses a form whose fields other than files may have `max_part_size` bytes together."""

    in_memory = 0
    """Bytes of these fields so far."""

    def on_headers_finished(self) -> None:
        """Some clients send no name with a file, or one in a form that is not for forms (`filename*`)."""
        super().on_headers_finished()
        part = self._current_part
        if part.file is None and part.field_name.partition("[")[0] == RECORDING:
            part.content_disposition = (part.content_disposition or b"") + b'; filename=""'
            super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self.in_memory += end - start
            if self.in_memory > self.max_part_size:
                raise MultiPartException(
                    f"fields that are no files may have {self.max_part_size // 2**20} MiB together, have more"
                )
        super().on_part_data(data, start, end)
