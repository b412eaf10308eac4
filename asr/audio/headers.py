"""What a file's own bytes tell of its end, where the libraries that decode it keep silent."""

import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from asr.audio.ogg_pages import is_one_whole_stream

OGG_PAGE = 65307
"""Bytes of the longest Ogg page."""
MP3_FRAMES = 2 * 1441
"""Bytes of two MP3 frames, more than any single one has."""
MOST_BOXES = 10_000
"""Boxes of an mp4 that are looked at."""
XING = 200
"""Bytes from the beginning of an MP3's first frame within which a Xing header says how long the file is."""
LARGEST = 0x7FFFF000
"""What recorders write for a size that they do not know yet is 0, or from here on."""
ROUND = (10**8, 2**24)
"""Or a multiple of these: no recording is so exactly long."""


def is_cut_off(path: Path) -> bool:
    """Whether a wav, aiff or Ogg file ends before its content does."""
    with open(path, "rb") as file:
        head = file.read(12)
        size = os.path.getsize(path)
        if head[:4] in (b"RIFF", b"FORM"):
            declared = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
            return (
                not is_placeholder(declared) and declared + 8 > size + 1
            )  # the byte that makes it even may be missing
        if head[:4] == b"OggS":
            file.seek(max(0, size - OGG_PAGE))
            tail = file.read()
            page = tail.rfind(b"OggS")
            return page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4  # the end-of-stream mark
    return False


def bytes_behind_form(path: Path) -> int:
    """Bytes of an AIFF that lie behind the end that its first size gives."""
    with open(path, "rb") as file:
        head = file.read(8)
    return max(0, os.path.getsize(path) - 8 - int.from_bytes(head[4:8], "big")) if head[:4] == b"FORM" else 0


def is_placeholder(size: int) -> bool:
    """Whether a size in a header, of all that follows or of the samples alone, was written before it was known."""
    return not size or size >= LARGEST or any(size >= unit and size % unit < 128 for unit in ROUND)


def holds_another_film(path: Path) -> bool:
    """Whether an mp4 has a second index, as where several are put end to end; none where each part has a small one."""
    with open(path, "rb") as file:
        names = list(islice(top_boxes(file, os.path.getsize(path)), MOST_BOXES))
    return names.count(b"moov") > 1 and b"moof" not in names


def top_boxes(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Names of the boxes of an mp4, as far as they are whole; of the last one without its end, too."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        yield head[4:8]
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return
        place += length


def is_mp3_without_audio(path: Path) -> bool:
    """Whether a file is an ID3 tag and at most the one frame that says how many follow."""
    with open(path, "rb") as file:
        tag = _id3(file)
        file.seek(tag)
        behind = file.read(MP3_FRAMES)
        return bool(tag) and len(behind) < MP3_FRAMES and (behind[:1] == b"\xff" or not any(behind))


def wav_codec(path: Path) -> str:
    """How a WAV's header numbers the codec of its samples; "" for other files."""
    with open(path, "rb") as file:
        head = file.read(4096)
    place = head.find(b"fmt ") if head[:4] == b"RIFF" else -1
    return f"number 0x{int.from_bytes(head[place + 8 : place + 10], 'little'):04x} of WAV" if place > 0 else ""


def goes_on(path: Path) -> bool:
    """Whether an Ogg or MP3 file is several put end to end, of which its beginning tells only the first, or an Ogg with holes,
    of which libsndfile would say nothing."""
    status = os.stat(path)
    return _goes_on(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=10_000)
def _goes_on(path: Path, size: int, changed: int) -> bool:
    """Remembered, because training reads many pieces of one file."""
    with open(path, "rb") as file:
        if file.read(4) == b"OggS":
            return not is_one_whole_stream(file)
        end = _end_by_xing(file)
        if not end or end + 4 > size:
            return False
        file.seek(end)
        behind = file.read(3)
        return behind == b"ID3" or behind[0] == 0xFF and behind[1] >= 0xE0  # the mark of a frame


def counts_mp3(path: Path) -> bool:
    """Whether an MP3 says in its first frame how many follow; without that, its length is a guess by the first few."""
    with open(path, "rb") as file:
        begin, head, place = _xing(file)
        return place >= 0 and bool(head[place + 7] & 1) and any(head[place + 8 : place + 12])


def is_whole_mp3(path: Path) -> bool:
    """Whether an MP3 has as many bytes as its first frame says: then nothing is missing, however many frames that counts."""
    with open(path, "rb") as file:
        return 0 < _end_by_xing(file) <= os.path.getsize(path)


def _end_by_xing(file: BinaryIO) -> int:
    """Where an MP3 ends by the header in its first frame; 0 where there is none."""
    begin, head, place = _xing(file)
    if place < 0 or not head[place + 7] & 2:
        return 0
    count = place + 8 + (4 if head[place + 7] & 1 else 0)
    return begin + int.from_bytes(head[count : count + 4], "big")


def _xing(file: BinaryIO) -> tuple[int, bytes, int]:
    """Where the first frame of an MP3 begins, its first bytes, and where among them a Xing header is, -1 for nowhere."""
    begin = _id3(file)
    file.seek(begin)
    head = file.read(XING)
    place = max(head.find(b"Xing"), head.find(b"Info"))
    return begin, head, place if head[:1] == b"\xff" and 0 <= place <= len(head) - 16 else -1


def _id3(file: BinaryIO) -> int:
    """Bytes of the ID3 tag at the beginning of a file; 0 where there is none."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    return 10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10])))
