"""The door to FFmpeg's libraries, which PyAV brings: what libsndfile reads goes without them."""

from pathlib import Path
from typing import TYPE_CHECKING

from asr.audio.causes import cause_of
from asr.errors import AudioError

if TYPE_CHECKING:
    from asr.audio.containers import ContainerFile

INSTALL = "pip install 'av>=14,<19'"


class NoFfmpeg(AudioError):
    """PyAV is not installed."""


def open_container_file(path: Path, track: int | None = None) -> "ContainerFile":
    """A file of a format that FFmpeg's libraries read. Raises AudioError for other files, NoFfmpeg without PyAV."""
    try:
        # a tenth of a second that the formats of libsndfile need not pay
        from asr.audio.containers import ContainerFile
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        why = cause_of(path) or f"only FFmpeg's libraries may be able to read it, and they are not installed: {INSTALL}"
        raise NoFfmpeg(f"{path}: {why}") from None
    return ContainerFile(path, track)
