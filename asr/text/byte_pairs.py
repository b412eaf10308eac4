"""Byte-level BPE tables of imported models (Whisper's, after GPT-2's): a token is some bytes of UTF-8, or many characters."""

import codecs
import re
from collections.abc import Iterable
from heapq import heappop, heappush

from asr.text.normalize import normalize
from asr.text.tokenizer import Tokenizer, TokenTable

WORD = re.compile(r"'(?:[stmd]|re|ve|ll)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
"""What is split into tokens by itself: letters, digits or signs, each with the space before them, and contractions."""


def byte_symbols() -> list[str]:
    """How a table writes each of the 256 bytes: printable ones as themselves, the others as the letters from U+0100 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def holds_bytes(table: TokenTable) -> bool:
    """Whether the tokens of a table are bytes: it then has every single one."""
    return all(symbol in table.ids for symbol in byte_symbols())


class BytePairTokenizer(Tokenizer):
    """Texts to ids by joining the two neighbours that make the token of the lowest id, until none do: nothing is unknown.

    Tokens have their ids in the order in which training joined them, so that this is what the list of merges gives
    (Sennrich et al. 2016; Radford et al. 2019).
    """

    def __init__(self, table: TokenTable):
        self.table = table
        self._symbols = byte_symbols()
        value = {symbol: byte for byte, symbol in enumerate(self._symbols)}
        silent = table.control | {table.blank, table.unk, table.sos, table.eos}
        self._bytes = [b"" if i in silent else bytes(value[c] for c in token) for i, token in enumerate(table.tokens)]

    def encode(self, text: str) -> list[int]:
        """Ids of the normalised text, without `<sos>` and `<eos>`."""
        return self.split(normalize(text))

    def split(self, text: str) -> list[int]:
        """Ids of the text as it is."""
        return [i for word in WORD.findall(text) for i in self._split(word)]

    def _split(self, word: str) -> list[int]:
        ids = self.table.ids
        parts = [self._symbols[byte] for byte in word.encode()]
        before, after = [i - 1 for i in range(len(parts))], [i + 1 for i in range(len(parts))]
        waiting: list[tuple[int, int, int]] = []
        """The id that two neighbours make, and their places; the lowest id first, of several the one in front."""

        def look(left: int, right: int) -> None:
            made = ids.get(parts[left] + parts[right]) if left >= 0 and right < len(parts) else None
            if made is not None:
                heappush(waiting, (made, left, right))

        for right in range(1, len(parts)):
            look(right - 1, right)
        while waiting:
            made, left, right = heappop(waiting)
            if not parts[left] or after[left] != right or ids.get(parts[left] + parts[right]) != made:
                continue  # one of them has been joined with another since
            parts[left], parts[right] = self.table.tokens[made], ""
            after[left] = following = after[right]
            if following < len(parts):
                before[following] = left
            look(before[left], left)
            look(left, following)
        return [ids[part] for part in parts if part]

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """What each id adds to the text: a character comes with its last byte; what is no UTF-8 is U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = [decoder.decode(self._bytes[i]) for i in ids]
        if pieces:
            pieces[-1] += decoder.decode(b"", final=True)
        return pieces

    def unknown(self, text: str) -> list[str]:
        """The characters of the text that the table cannot write: none."""
        return []
