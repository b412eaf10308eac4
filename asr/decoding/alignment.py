"""Which frames tokens that are known were heard in: the best monotonic path through the scores of a CTC head or of attention.

The path goes through blank, token, blank, token … blank: states 0, 2, 4 … are blanks, states 1, 3, 5 … the tokens. At each
frame it stays, goes on to the next state, or leaves out the blank between two tokens that differ (Graves et al. 2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was heard of the U tokens of one utterance, in each of its L frames, as log-probabilities."""

    tokens: np.ndarray
    """(L, U)."""
    blank: np.ndarray
    """(L,) none of them."""
    repeats: np.ndarray
    """(U,) True where a token is the one before it, from which a blank must part it."""


@dataclass(frozen=True, eq=False)
class Path:
    """Where on the best path the U tokens lie, as frames."""

    first: np.ndarray
    """(U,) each token's first frame."""
    last: np.ndarray
    """(U,) its last one."""
    peak: np.ndarray
    """(U,) the one among them in which it is heard best."""
    score: float
    """Log-probability of the path."""


def best_paths(evidence: Sequence[Evidence]) -> list[Path | None]:
    """For each utterance its best path; None where it has more tokens than its frames can hold. All at once, frame by frame."""
    if not evidence:
        return []
    B, frames = len(evidence), np.array([len(e.blank) for e in evidence])
    states = np.array([2 * e.tokens.shape[1] + 1 for e in evidence])
    L, S = frames.max(), states.max()
    emitted = np.full((L, B, S), -np.inf)
    skips = np.full((B, S), -np.inf)  # 0 where the blank before a state may be left out
    for b, e in enumerate(evidence):
        emitted[: frames[b], b, 0 : states[b] : 2] = e.blank[:, None]
        emitted[: frames[b], b, 1 : states[b] : 2] = e.tokens
        skips[b, 3 : states[b] : 2][~e.repeats[1:]] = 0
    scores = np.full((B, S + 2), -np.inf)  # two columns before the first state, from which nothing comes
    scores[:, 2:4] = emitted[0, :, :2]
    came_from = np.zeros((L, B, S), np.int8)
    for frame in range(1, L):
        stay, step, skip = scores[:, 2:], scores[:, 1:-1], scores[:, :-2] + skips
        stepped = step > stay
        best = np.where(stepped, step, stay)
        skipped = skip > best
        going = (frame < frames)[:, None]  # where the audio has ended, the path stands still
        came_from[frame] = np.where(skipped, 2, stepped) * going
        scores[:, 2:] = np.where(going, np.where(skipped, skip, best) + emitted[frame], stay)
    return _traced(evidence, frames, states, scores[:, 2:], came_from)


def _traced(
    evidence: Sequence[Evidence], frames: np.ndarray, states: np.ndarray, scores: np.ndarray, came_from: np.ndarray
) -> list[Path | None]:
    """The paths, followed back from the last blank or the last token, whichever is better."""
    rows = np.arange(len(evidence))
    last_token = np.maximum(states - 2, 0)
    state = np.where(scores[rows, last_token] > scores[rows, states - 1], last_token, states - 1)
    totals = scores[rows, state]
    visited = np.empty(came_from.shape[:2], np.int64)  # (L, B)
    for frame in range(len(came_from) - 1, -1, -1):
        visited[frame] = state
        state = state - came_from[frame, rows, state]
    paths: list[Path | None] = []
    for b, e in enumerate(evidence):
        if not np.isfinite(totals[b]):
            paths.append(None)
            continue
        own = np.arange(1, states[b], 2)
        first = np.searchsorted(visited[: frames[b], b], own, "left")
        last = np.searchsorted(visited[: frames[b], b], own, "right") - 1
        peak = [f + int(e.tokens[f : to + 1, u].argmax()) for u, f, to in zip(count(), first, last, strict=False)]
        paths.append(Path(first, last, np.array(peak, int), float(totals[b])))
    return paths


def ctc_evidence(log_probs: Tensor, tokens: Sequence[int], blank: int) -> Evidence:
    """From the log-probabilities (L, V) of a CTC head."""
    columns = log_probs[:, [blank, *tokens]].float().cpu().numpy()
    ids = np.array(tokens, int)
    repeats = np.concatenate([[False], ids[1:] == ids[:-1]])[: len(ids)]
    return Evidence(columns[:, 1:], columns[:, 0], repeats)


def attention_evidence(attention: np.ndarray) -> Evidence:
    """From how much each token listens to each frame (U, L), rows adding up to 1.

    A frame belongs to the tokens by their shares in it; to none where all of them together listen to it less than one
    token would that listens everywhere.
    """
    U, L = attention.shape
    nobody = 1 / L
    total = attention.sum(0) + nobody  # (L,)
    return Evidence(np.log(attention.T / total[:, None] + 1e-9), np.log(nobody / total), np.zeros(U, bool))
