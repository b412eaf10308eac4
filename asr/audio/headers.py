"""What a file's own bytes tell of its end, where the libraries that decode it keep silent."""

import os
from pathlib import Path

OGG_PAGE = 65307
"""Bytes of the longest Ogg page."""
MP3_FRAMES = 2 * 1441
"""Bytes of two MP3 frames, more than any single one has."""
OPEN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)
"""What recorders write for a size that they do not know yet."""


def is_cut_off(path: Path) -> bool:
    """Whether a wav, aiff or Ogg file ends before its content does."""
    with open(path, "rb") as file:
        head = file.read(12)
        size = os.path.getsize(path)
        if head[:4] in (b"RIFF", b"FORM"):
            declared = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
            streamed = declared in OPEN_SIZES or declared >= 0x7FFFF000  # recorders round it, too
            return not streamed and declared + 8 > size + 1  # the byte that makes it even may be missing
        if head[:4] == b"OggS":
            file.seek(max(0, size - OGG_PAGE))
            tail = file.read()
            page = tail.rfind(b"OggS")
            return page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4  # the end-of-stream mark
    return False


def is_mp3_without_audio(path: Path) -> bool:
    """Whether a file is an ID3 tag and at most the one frame that says how many follow."""
    with open(path, "rb") as file:
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return False
        tag = sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10])))
        return os.path.getsize(path) - 10 - tag < MP3_FRAMES
