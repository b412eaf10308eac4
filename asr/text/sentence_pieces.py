"""SentencePiece tables of imported models: Latin runs, or whole texts, in pieces of several characters."""

import re
from collections.abc import Callable
from pathlib import Path

from asr.errors import TokenError, UsageError
from asr.foreign_bytes import reading
from asr.text.normalize import characters, is_han, normalize
from asr.text.tokenizer import NO_TEXT, Tokenizer, TokenTable, symbol_id

RUN = re.compile(r"[^\s]+")


class PieceTokenizer(Tokenizer):
    """Texts to ids by a SentencePiece model.

    Either the table is the model's own list of pieces, and every text goes through it whole, but for characters that were
    added to the table later; or it holds characters besides, and only what is not a Han character goes through it.
    """

    def __init__(self, table: TokenTable, path: str | Path):
        self.table = table
        self._processor = _open(path)
        pieces = [self._processor.id_to_piece(i) for i in range(self._processor.get_piece_size())]
        last = max((i for i, piece in enumerate(pieces) if not NO_TEXT.fullmatch(piece)), default=-1)
        self.whole = len(pieces) <= len(table) and table.tokens[last] == pieces[last]
        self.added = frozenset(table.tokens[len(pieces) :]) if self.whole else frozenset()
        written = [token for i, token in enumerate(table.tokens) if i not in table.silent and i not in table.bytes]
        self.small = any(map(str.islower, written)) and not any(map(str.isupper, written))

    def encode(self, text: str) -> list[int]:
        """Ids of the normalised text, without `<sos>` and `<eos>`; what has no piece becomes `<unk>`."""
        text = normalize(text)
        text = text.lower() if self.small else text
        if self.whole and not self.added & set(text):
            return self._processor.encode(text)
        ids: list[int] = []
        for part in _apart(text, self.added.__contains__ if self.whole else is_han):
            if part in self.added or (not self.whole and is_han(part[0])):
                ids.append(symbol_id(self.table, part))
            else:
                ids += [
                    self.table.ids.get(piece, self.table.unk) for piece in self._processor.encode(part, out_type=str)
                ]
        return ids

    def unknown(self, text: str) -> list[str]:
        """The characters of the text that the model cannot write, in order."""
        return [c for c in characters(text) if self.table.unk in self.encode(c)]


def pieces_of(path: str | Path) -> list[str]:
    """All pieces of a SentencePiece model in the order of their ids. Raises TokenError for anything else."""
    processor = _open(path)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def _open(path: str | Path):
    try:
        import sentencepiece  # models of characters need not load it
    except ImportError:
        raise UsageError(f"{path}: needs the package sentencepiece: pip install 'sentencepiece>=0.2,<1'") from None
    with reading(path, TokenError, "not a SentencePiece model"):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        if not processor.get_piece_size():
            raise ValueError("it holds no piece")
        return processor


def _apart(text: str, alone: Callable[[str], bool]) -> list[str]:
    """Single characters of a kind and the runs between them. Example, Han alone: 上 HELLO 你好 → 上, HELLO, 你, 好."""
    parts: list[str] = []
    for run in RUN.findall(text):
        between = ""
        for character in run:
            if not alone(character):
                between += character
                continue
            parts += [between, character] if between else [character]
            between = ""
        parts += [between] if between else []
    return parts
