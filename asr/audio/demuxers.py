"""What FFmpeg's libraries may open: containers of sound, and nothing but the bytes that they are given.

Many of FFmpeg's formats are lists of other files, addresses or ports, which it follows wherever they point, even from an
open file. None of them is named here, no protocol is allowed, and what a container asks for besides is refused.
"""

from functools import cache
from typing import BinaryIO

import av

from asr.audio.foreign import MOST_VALUES
from asr.errors import AudioError

DEMUXERS = (
    "mov mp4 m4a 3gp 3g2 mj2 matroska webm ogg flac mp3 aac loas ac3 eac3 ac4 dts dtshd mlp truehd wav w64 aiff caf au"
    " asf avi flv live_flv mpeg mpegts mpegvideo amr amrnb amrwb ape mpc mpc8 tta tak wv oma aea qcp gsm voc nut mxf rm"
    " nistsphere dsf sox sbc lc3 shn dhav act ilbc dss spdif dv wtv"
).split()
"""Formats, under FFmpeg's names, that hold their own samples."""


FAR = {"probesize": str(2**26), "analyzeduration": str(3600 * 10**6)}
"""Bytes, and microseconds, within which the first sound of a film is looked for where it does not come in its first seconds."""


def open_container(file: BinaryIO, far: bool = False) -> av.container.InputContainer:
    """The container in an open file. Raises whatever the libraries raise for what is none, or not one of DEMUXERS.

    `far`: what its tracks hold is looked for further behind its beginning than usual.
    """
    options = {
        "format_whitelist": ",".join(DEMUXERS),
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(sound_decoders()),
        "max_samples": str(MOST_VALUES),
    }
    if far:
        options |= FAR
    try:
        return av.open(_Source(file), options=options, metadata_errors="ignore", io_open=_refuse)
    except MemoryError:
        pass  # FFmpeg itself refuses sizes in a header that are beyond 2 GB: no memory has run out
    raise AudioError("announces more than there can be")


@cache
def sound_decoders() -> tuple[str, ...]:
    """All decoders of sound. To open a film, FFmpeg would decode some of its pictures, too, whatever size these say they have."""
    found = []
    for name in sorted(av.codecs_available):
        try:
            if av.Codec(name, "r").type == "audio":
                found.append(name)
        except Exception:  # an encoder only
            continue
    return tuple(found)


def _refuse(url: str, flags: int, options: dict) -> None:
    raise AudioError(f"asks for another resource, {url[:200]!r}, which is not opened")


class _Source:
    """A file whose positions that cannot be are an answer: an exception would be printed by PyAV."""

    def __init__(self, file: BinaryIO):
        self.read, self.tell = file.read, file.tell
        self.file = file
        self.name = file.name  # by its suffix FFmpeg decides where bytes alone leave a doubt

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self.file.seek(offset, whence)
        except (OSError, ValueError):
            return -1
