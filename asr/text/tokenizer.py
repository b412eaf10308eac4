"""Characters to token ids and back, and the table that says which is which.

A table of our own has `<blank>` 0, `<unk>` 1, `<sos>` 2, `<eos>` 3, then characters, one token a line, line number = id.
Latin runs and digits are spelled: one token a letter or digit, and `▁` for the space between two such words. An imported
table keeps its ids, so that one token may be two of the special ones, and its tokens may be pieces of several letters, or
bytes; a table of pieces may have the 256 bytes besides, `<0x00>` to `<0xFF>`, for characters that are no piece.
"""

import codecs
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from asr.errors import TokenError
from asr.files import write_file
from asr.foreign_bytes import quoted, reading
from asr.text.normalize import characters, normalize

BLANK, UNK, SOS, EOS = "<blank>", "<unk>", "<sos>", "<eos>"
SOS_EOS, BLANK_UNK = "<sos/eos>", "<blank/unk>"
"""Two in one, in tables of other toolkits."""
PAD = "<pad>"
SPACE = "▁"
NO_TEXT = re.compile(r"<[^<>]+>")
"""Tokens in angle brackets, special ones and noises, are no text."""
CONTROL = re.compile(r"<\|[^<>]*\|>")
"""Those of them that tell a Whisper model what to do."""
BYTES = {f"<0x{value:02X}>": value for value in range(256)}
"""How a table of pieces writes single bytes, where it has all of them."""
UNWRITABLE = re.compile(r"[\n\r\ud800-\udfff]")
"""What a line of a text file cannot hold: line breaks and half characters."""
IGNORED = -1
"""A target that counts for nothing: the padding behind a text."""


class TokenTable:
    """The tokens of one model, in order of their ids."""

    def __init__(self, tokens: Iterable[str]):
        self.tokens = tuple(tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise TokenError(f"token table: {quoted(twice)} stands in it twice")
        if bad := next(filter(UNWRITABLE.search, self.tokens), None):
            raise TokenError(
                f"token table: {quoted(bad)} holds a line break or half a character, which no line can hold"
            )
        self.blank, self.unk = self._special(BLANK, BLANK_UNK), self._special(UNK, BLANK_UNK)
        self.sos, self.eos = self._special(SOS, SOS_EOS), self._special(EOS, SOS_EOS)
        all_bytes = self.ids.keys() >= BYTES.keys()
        self.bytes = {self.ids[token]: value for token, value in BYTES.items()} if all_bytes else {}
        self.silent = frozenset(
            i for i, token in enumerate(self.tokens) if NO_TEXT.fullmatch(token) and i not in self.bytes
        )
        self.control = frozenset(i for i in self.silent if CONTROL.fullmatch(self.tokens[i]))

    def _special(self, name: str, two_in_one: str) -> int:
        if name not in self.ids and two_in_one not in self.ids:
            raise TokenError(f"token table: {name} is missing; {len(self.tokens)} tokens were read")
        return self.ids[name if name in self.ids else two_in_one]

    @property
    def never_written(self) -> list[int]:
        """Ids that the decoder must not choose: blank, unknown, padding, sos, control; what also is eos it may."""
        ids = {self.blank, self.unk, self.sos, self.ids.get(PAD, self.blank), *self.control}
        return sorted(ids - {self.eos})

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def fingerprint(self) -> str:
        """A short hash of the whole table: two models share ids exactly when it is the same."""
        return fingerprint(self.tokens)

    @classmethod
    def build(cls, texts: Iterable[str], min_count: int = 1) -> "TokenTable":
        """The table of all characters that occur at least `min_count` times, the most frequent first."""
        return cls.of_counts(count_symbols(texts), min_count)

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], min_count: int = 1) -> "TokenTable":
        """The table of the symbols that were counted, like `build`."""
        kept = sorted((c for c, n in counts.items() if n >= min_count), key=lambda c: (-counts[c], c))
        if not kept:
            raise TokenError(f"no character occurs {min_count} times: nothing to build a token table from")
        return cls([BLANK, UNK, SOS, EOS, *kept])

    @classmethod
    def load(cls, path: str | Path) -> "TokenTable":
        """Reads one token a line. Raises TokenError where a special token is missing or a token stands twice."""
        with reading(path, TokenError, "cannot be read as a token table"):
            text = Path(path).read_text(encoding="utf-8-sig")
        try:
            return cls(text.removesuffix("\n").split("\n"))
        except TokenError as error:
            raise TokenError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> None:
        write_file(path, "\n".join(self.tokens) + "\n")


def fingerprint(symbols: Iterable[str]) -> str:
    """What tells one list of symbols from another."""
    return hashlib.sha256("\n".join(symbols).encode()).hexdigest()[:16]


def count_symbols(texts: Iterable[str]) -> Counter[str]:
    """How often each symbol occurs in all texts together."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(symbols(text))
    return counts


def symbols(text: str) -> list[str]:
    """The characters of the normalised text as they stand in a token table: a space is `▁`."""
    return [SPACE if c == " " else c for c in normalize(text)]


class Tokenizer(Protocol):
    """What training and decoding need of any tokenizer, of characters, pieces or bytes."""

    table: TokenTable

    def encode(self, text: str) -> list[int]:
        """Ids of the normalised text, without `<sos>` and `<eos>`; what has no token becomes `<unk>`."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; special tokens have none."""
        return "".join(self.pieces(ids)).strip()

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """What each id adds to the text, with a space before a word that begins; nothing for special tokens."""
        return text_parts(self.table, ids)

    def unknown(self, text: str) -> list[str]:
        """The characters of the text that cannot be written, in order."""
        ...


class CharacterTokenizer(Tokenizer):
    """One token a character of the normalised text."""

    def __init__(self, table: TokenTable):
        self.table = table

    def encode(self, text: str) -> list[int]:
        """Ids of the normalised text, without `<sos>` and `<eos>`; unknown characters become `<unk>`."""
        return [symbol_id(self.table, symbol) for symbol in symbols(text)]

    def unknown(self, text: str) -> list[str]:
        """The characters of the text that the table does not hold, in order."""
        return [c for c in characters(text) if symbol_id(self.table, c) == self.table.unk]


def symbol_id(table: TokenTable, symbol: str) -> int:
    """The id of a symbol of the normalised text, of its small letter in a table that has only those, or of `<unk>`."""
    return table.ids.get(symbol, table.ids.get(symbol.lower(), table.unk))


def text_parts(table: TokenTable, ids: Iterable[int]) -> list[str]:
    """What each id, a character or a piece, adds to the text: silent ones nothing, `▁` a space.

    Of bytes a character comes with its last one; what is no UTF-8 is U+FFFD, with the token that shows it.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    parts: list[str] = []
    for i in ids:
        if i in table.bytes:
            parts.append(decoder.decode(bytes([table.bytes[i]])))
        else:
            text = "" if i in table.silent else table.tokens[i].replace(SPACE, " ")
            parts.append(decoder.decode(b"", final=True) + text)
    if parts:
        parts[-1] += decoder.decode(b"", final=True)
    return parts
