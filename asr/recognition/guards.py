"""Signs that a hypothesis does not follow the audio, and where to cut the audio to try again.

Attention decoders now and then repeat themselves without end, or go on writing while they listen to one place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from asr.decoding.hypothesis import LONGEST_LOOP, Hypothesis

REPEATS = "the same piece comes four times over"
STANDS_STILL = "many characters were read off one place of the audio"
WRITTEN_TWICE = "the same text comes over again"
UNSURE = "the model is not sure of what it heard"
IN_PIECES = "decoded again in pieces: "
SHORTENED = "ends where it began to repeat itself or attention went no further"
WINDOW = 12
"""Tokens that are looked at together."""
LEAST_PROGRESS = 0.5
"""Seconds of audio that so many tokens must take: nobody says 24 characters in a second."""
NEARLY = 0.1
"""Seconds; attention that is so near to the furthest place it gets to is there."""
LEAST_SURE = -1.0
"""Mean log-probability of the tokens of a text that is not doubted where there was little silence behind its audio."""
FEWEST_COPIES, FEWEST_REPEATED = 3, 6
"""Copies, and tokens in them, that are doubted where there was little silence: it costs no more than a second decoding."""
SHORT_PIECE = 8
"""Tokens that somebody may well say three times in a row."""
SHORTEST = 1.0
"""Seconds; no piece is made shorter."""


def reasons_to_doubt(hypothesis: Hypothesis, attended: np.ndarray | None, seconds_per_frame: float) -> tuple[str, ...]:
    """Why this hypothesis should not be trusted; nothing for most. attended: (U, L), where each token was listened for."""
    reasons = hypothesis.warnings
    if has_loop(hypothesis.tokens):
        reasons += (REPEATS,)
    if attended is not None and stands_still(attended, seconds_per_frame):
        reasons += (STANDS_STILL,)
    return reasons


def reasons_for_silence(hypothesis: Hypothesis) -> tuple[str, ...]:
    """Why this hypothesis should not be trusted where the model has heard less silence behind it than it is used to.

    It then begins anew instead of ending, or is less sure; with all the silence neither is a sign of anything.
    """
    single = one_copy(hypothesis.tokens, FEWEST_COPIES, FEWEST_REPEATED)
    reasons = () if single == len(hypothesis.tokens) else (WRITTEN_TWICE,)
    log_probs = hypothesis.token_log_probs
    return reasons if not log_probs or sum(log_probs) >= LEAST_SURE * len(log_probs) else (*reasons, UNSURE)


def misheard(
    best: Sequence[Hypothesis], doubts: Mapping[int, tuple[str, ...]], partly: Sequence[int]
) -> dict[int, tuple[str, ...]]:
    """Utterance → why it is to be heard in all of the model's window, of those that were heard in a part of it (`partly`).

    best, doubts: what was found in each utterance, and why it should not be trusted."""
    reasons = {b: doubts.get(b, ()) + reasons_for_silence(best[b]) for b in partly}
    return {b: why for b, why in reasons.items() if why}


def has_loop(tokens: Sequence[int]) -> bool:
    """Whether a piece of at most LONGEST_LOOP tokens comes four times over, WINDOW tokens in all at least."""
    for period in range(1, LONGEST_LOOP + 1):
        same, needed = 0, max(4 * period, WINDOW) - period
        for place in range(period, len(tokens)):
            same = same + 1 if tokens[place] == tokens[place - period] else 0
            if same >= needed:
                return True
    return False


def stands_still(attended: np.ndarray, seconds_per_frame: float) -> bool:
    """Whether WINDOW tokens in a row have the middle of their attention within LEAST_PROGRESS seconds. attended: (U, L)."""
    if len(attended) < WINDOW:
        return False
    frames = attended @ np.arange(attended.shape[1], dtype=attended.dtype)  # (U,) centres of attention
    windows = np.lib.stride_tricks.sliding_window_view(frames, WINDOW)
    return bool(((windows.max(1) - windows.min(1)) * seconds_per_frame < LEAST_PROGRESS).any())


def shortened(
    hypothesis: Hypothesis, attended: np.ndarray | None, seconds_per_frame: float, least: int = 0
) -> Hypothesis:
    """One copy of what comes over and over at the end, or what there is until attention goes no further; marked as such.

    The same hypothesis where neither is seen. attended: (U, L), where each token was listened for. least: tokens that stay.
    """
    length = one_copy(hypothesis.tokens)
    if attended is not None:
        length = min(length, forward_tokens(attended, seconds_per_frame))
    length = min(max(length, least), len(hypothesis.tokens))
    if length == len(hypothesis.tokens):
        return hypothesis
    log_probs = hypothesis.token_log_probs[:length]
    return replace(
        hypothesis,
        tokens=hypothesis.tokens[:length],
        token_log_probs=log_probs,
        score=sum(log_probs) / max(1, length),
        complete=False,
        warnings=(*hypothesis.warnings, SHORTENED),
    )


def one_copy(tokens: Sequence[int], copies: int = 4, repeated: int = WINDOW) -> int:
    """How many tokens there are up to the end of the first copy of what the end repeats; all where it repeats nothing.

    Of pieces of up to SHORT_PIECE tokens so many copies count as that, with as many tokens in all as `repeated` says; of longer
    ones two, the last of which may be unfinished.
    """
    for period in range(1, len(tokens) // 2 + 1):
        same = 0
        while same < len(tokens) - period and tokens[-1 - same] == tokens[-1 - same - period]:
            same += 1
        if same >= (max((copies - 1) * period, repeated - period) if period <= SHORT_PIECE else period):
            return len(tokens) - same
    return len(tokens)


def forward_tokens(attended: np.ndarray, seconds_per_frame: float) -> int:
    """How many tokens there are until the middle of attention has got as far as it ever gets, if WINDOW or more come behind."""
    frames = attended @ np.arange(attended.shape[1], dtype=attended.dtype)
    near = frames >= frames.max() - NEARLY / seconds_per_frame if len(frames) else frames
    first = int(near.argmax()) + 1 if len(frames) else 0
    return first if len(frames) - first >= WINDOW else len(frames)


def cut_in_two(samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(S,) → two parts, cut at the quietest tenth of a second in the middle half; None if it is too short to be cut."""
    if len(samples) < 2 * SHORTEST * rate:
        return None
    frame = rate // 10
    shortest = max(len(samples) // 4, int(SHORTEST * rate))
    first, last = shortest // frame, max(shortest // frame + 1, (len(samples) - shortest) // frame)
    power = np.square(samples[first * frame : last * frame].reshape(-1, frame)).mean(1)
    place = min((first + int(power.argmin())) * frame + frame // 2, len(samples) - shortest)
    return samples[:place], samples[place:]


def cut_to_fit(samples: np.ndarray, rate: int, longest: int | None) -> list[np.ndarray]:
    """(S,) → parts of at most `longest` samples, cut where it is quiet unless they are shorter than `cut_in_two` allows."""
    if longest is None or len(samples) <= longest:
        return [samples]
    halves = cut_in_two(samples, rate) or np.array_split(samples, 2)
    return [part for half in halves for part in cut_to_fit(half, rate, longest)]
