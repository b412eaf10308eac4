"""Pieces of one utterance that were decoded apart, made one hypothesis again."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.decoding.hypothesis import Hypothesis
from asr.recognition.guards import IN_PIECES
from asr.recognition.recognized import Recognized


def joined(
    pieces: Sequence[np.ndarray],
    nbests: Sequence[list[Recognized]],
    recognized: Callable[[Hypothesis], Recognized],
    reasons: tuple[str, ...] = (),
) -> list[Recognized]:
    """The n-best list of a single piece (S,) of samples, or one hypothesis that is made of the best of all.

    recognized: gives a hypothesis its text. reasons: why the audio was cut.
    """
    if len(pieces) == 1:
        return nbests[0]
    whole, behind = nbests[0][0], len(pieces[0])
    for piece, (best, *_) in zip(pieces[1:], nbests[1:], strict=True):
        seconds = behind / SAMPLE_RATE
        later = tuple((start + seconds, end + seconds) for start, end in best.spans)
        both = recognized(join(whole.hypothesis, best.hypothesis, reasons))
        silence = [p for p in (whole.no_speech, best.no_speech) if p is not None]
        # whoever speaks in one part speaks in the whole
        whole = replace(both, spans=whole.spans + later, no_speech=min(silence, default=None))
        behind += len(piece)
    return [whole]


def join(first: Hypothesis, second: Hypothesis, reasons: tuple[str, ...]) -> Hypothesis:
    """One hypothesis of two pieces of audio; `reasons`: why it was cut."""
    log_probs = first.token_log_probs[: len(first.tokens)] + second.token_log_probs
    lengths = [len(h.tokens) + 1 for h in (first, second)]
    score = (first.score * lengths[0] + second.score * lengths[1]) / sum(lengths)
    names = first.scores.keys() | second.scores.keys()
    scores = {name: first.scores.get(name, 0.0) + second.scores.get(name, 0.0) for name in sorted(names)}
    warnings = [f"{IN_PIECES}{reason}" for reason in reasons] + [w for h in (first, second) for w in h.warnings]
    complete = first.complete and second.complete
    return Hypothesis(first.tokens + second.tokens, score, log_probs, scores, complete, tuple(dict.fromkeys(warnings)))
