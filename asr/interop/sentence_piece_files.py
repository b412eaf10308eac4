"""A SentencePiece model, as that library reads it, of pieces that another program keeps in a file of its own.

The file is a protocol buffer: fields of a number, a kind and a value. These few are all that it needs.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

UNIGRAM, BPE = 1, 2
"""How a model chooses among the pieces that make a text: the likeliest ones together, or those that were joined first."""
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Kinds of pieces: a part of a text, what stands for all that has none, what no text has, and a byte of UTF-8."""


@dataclass(frozen=True)
class Piece:
    """One piece, whose id is its place in the list."""

    text: str
    score: float
    """Logarithm of its probability, or minus the place at which it was joined."""
    kind: int


def sentence_piece_model(
    pieces: Iterable[Piece], kind: int, *, charsmap: bytes = b"", space_in_front: bool = True
) -> bytes:
    """The bytes of a model of `kind`, UNIGRAM or BPE.

    charsmap: SentencePiece's own compiled table of characters that stand for others. space_in_front: whether a text begins
    with a space, as its words do. What has no piece is written in bytes, where there are pieces for these.
    """
    pieces = list(pieces)
    listed = b"".join(_inside(1, _piece(piece)) for piece in pieces)
    in_bytes = any(piece.kind == BYTE for piece in pieces)
    trainer = _number(3, kind) + _number(35, in_bytes)
    normalizer = _inside(2, charsmap) + _number(3, space_in_front) + _number(4, False)  # spaces stay as they are
    return listed + _inside(2, trainer) + _inside(3, normalizer)


def _piece(piece: Piece) -> bytes:
    return _inside(1, piece.text.encode()) + _key(2, 5) + struct.pack("<f", piece.score) + _number(3, piece.kind)


def _inside(field: int, content: bytes) -> bytes:
    return _key(field, 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(int(value))


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have their eighth bit set."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
