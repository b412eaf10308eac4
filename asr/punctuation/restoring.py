"""Marks for text that has none: of plain text, and of units with the pauses behind them."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from asr.model_paths import PRETRAINED
from asr.punctuation.batches import batch_of
from asr.punctuation.features import LONGEST_WORD, Array, inputs, pause_classes
from asr.punctuation.marks import ENDS, MARKS
from asr.punctuation.network import DILATIONS, KERNEL
from asr.punctuation.storage import read_punctuator
from asr.text.normalize import holds_han
from asr.text.units import MARKS as EVERY_MARK
from asr.text.units import units

OWN = PRETRAINED / "punctuation"
"""The one that came with the program."""
AT_ONCE = 4000
"""Units that are looked at together; memory is bounded by this, not by the length of a text."""
BESIDE = sum(DILATIONS) * (KERNEL - 1) // 2 + LONGEST_WORD
"""Units on either side that may change what stands behind a unit: with those, a part gets the marks that the whole would."""
_ENDING = np.array([mark in ENDS for mark in MARKS])


class Punctuator:
    """A trained network that says where marks stand. `punctuator` gives the one that came with the program."""

    def __init__(self, folder: Path):
        """Raises CheckpointError where the folder holds none, or a damaged one."""
        stored = read_punctuator(folder)
        self.network, self.vocabulary, self.bias = stored.network, stored.vocabulary, stored.bias

    def marks(
        self,
        words: Sequence[str],
        pauses: Sequence[float] | None = None,
        *,
        ends: Sequence[bool] | None = None,
    ) -> list[str]:
        """The mark behind each unit (Han character, Latin word, number), "" for none.

        pauses: seconds behind each unit; without them they are unknown. ends: of each unit, whether a sentence ends behind it in
        any case, as it does behind the last.
        """
        if not words:
            return []
        ids, codes = self.vocabulary.encode(words)
        scores = np.concatenate(list(self._scores(ids, codes, None if pauses is None else pause_classes(pauses))))
        tags = scores.argmax(-1)
        ending = np.zeros(len(words), bool) if ends is None else np.array(ends, bool)
        ending[-1] = True
        tags[ending] = 1 + np.where(_ENDING, scores[ending, 1:], -np.inf).argmax(-1)
        return ["" if tag == 0 else MARKS[tag - 1] for tag in tags]

    def _scores(self, ids: Array, codes: Array, pauses: Array | None) -> Iterator[Array]:
        """(U, tags) of parts of the text, one behind the other."""
        for first in range(0, len(ids), AT_ONCE):
            end = min(len(ids), first + AT_ONCE)
            begin, stop = max(0, first - BESIDE), min(len(ids), end + BESIDE)
            near = slice(begin, stop)
            given = inputs(ids[near], codes[near], self.vocabulary, None if pauses is None else pauses[near])
            batch = batch_of([given])
            with torch.inference_mode():
                logits = self.network(batch.fields, batch.real)[0] + self.bias
            yield logits[1 + first - begin : 1 + end - begin].numpy()

    def punctuate(self, text: str) -> str:
        """The text with marks added, and nothing else changed; text without Chinese characters stays as it is.

        Marks that are there stay, and get no other beside them; between two Latin words none is set.
        """
        if not holds_han(text):
            return text
        found = list(units(text))
        marks = self.marks([unit.text for unit in found])
        written, at = "", 0
        for unit, following, mark in zip(found, [*found[1:], None], marks, strict=True):
            until = following.first if following else len(text)
            marked = any(character in EVERY_MARK for character in text[unit.end : until])
            latin = following and not holds_han(unit.text) and not holds_han(following.text)
            written += text[at : unit.end] + ("" if marked or latin else mark)
            at = unit.end
        return written + text[at:]


@cache
def punctuator() -> Punctuator:
    """The punctuator that came with the program, loaded once."""
    return Punctuator(OWN)


def punctuate(text: str) -> str:
    """A text with ，。？！、 added where they belong, and nothing else changed.

    Example: `asr.punctuate("今天天气很好我们出去走走吧")`
    """
    return punctuator().punctuate(text)
