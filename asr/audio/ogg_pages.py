"""The pages of an Ogg file, each of which has a number and a checksum."""

import struct
import zlib
from typing import BinaryIO

FIRST_OF_STREAM = 2
"""The mark of a page that begins a stream."""
HEAD = 27
"""Bytes of a page before the lengths of what is in it."""
SEARCHED = 2**17
"""Bytes in which a page would begin, had there been no damage: twice the longest."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def is_one_whole_stream(file: BinaryIO) -> bool:
    """Whether no stream begins behind the end of others, and no page lacks or is damaged but the last.

    Streams that sound together all begin first.
    """
    place, begun = 0, False
    following: dict[int, int] = {}
    while True:
        file.seek(place)
        head = file.read(HEAD)
        if head[:4] != b"OggS":
            return b"OggS" not in head + file.read(SEARCHED)
        lengths = file.read(head[26]) if len(head) == HEAD else b""
        body = file.read(sum(lengths))
        if len(head) < HEAD or len(lengths) < head[26] or len(body) < sum(lengths):  # cut off
            return True
        first = bool(head[5] & FIRST_OF_STREAM)
        stream, number, checksum = struct.unpack("<III", head[14:26])
        whole = number == following.get(stream, number) and checksum == _checksum(head, lengths + body)
        if not whole or (first and begun):
            return False
        following[stream] = number + 1
        begun = begun or not first
        place += HEAD + len(lengths) + len(body)


def _checksum(head: bytes, behind: bytes) -> int:
    """Of a page, its own left out. Ogg's counts the bits of a byte from the other end than zlib's, and begins with 0."""
    turned = (head[:22] + bytes(4) + head[26:] + behind).translate(_REVERSED)
    return int(f"{zlib.crc32(turned, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)
