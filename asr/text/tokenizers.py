"""Which tokenizer a model's folder asks for."""

from pathlib import Path

from asr.text.byte_pairs import BytePairTokenizer, holds_bytes
from asr.text.sentence_pieces import PieceTokenizer
from asr.text.tokenizer import CharacterTokenizer, Tokenizer, TokenTable

PIECES = "pieces.model"
"""The SentencePiece model of a table that holds pieces."""


def open_tokenizer(folder: Path, table: TokenTable) -> Tokenizer:
    """The tokenizer of a model folder: of pieces where it holds their model, of bytes where its table does, or of characters."""
    if (folder / PIECES).is_file():
        return PieceTokenizer(table, folder / PIECES)
    return BytePairTokenizer(table) if holds_bytes(table) else CharacterTokenizer(table)
