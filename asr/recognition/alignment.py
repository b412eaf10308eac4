"""Which frames tokens that are known were heard in: the best monotonic path through the scores of a CTC head or of attention.

The path goes through blank, token, blank, token … blank. At each frame it stays, goes on, or leaves out the blank between
two tokens that differ (Graves et al. 2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WINDOW = 1000
"""Tokens of a long text that are looked at together: some minutes of speech."""
NOBODY = 3.0
"""A frame belongs to no token where all of them together listen to it less than so many would that listen everywhere alike."""
HEADS = 2
"""Attention heads that are believed."""

SILENT = 10.0
"""How much less likely (in nats) a token is where attention falls on silence."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was heard of the U tokens of one text in each of L frames, as log-probabilities."""

    scores: np.ndarray
    """(L, C): a column for each token that differs."""
    columns: np.ndarray
    """(U,) each token's column."""
    blank: np.ndarray
    """(L,) that none of them is said there."""
    apart: np.ndarray
    """(U,) True where a blank must part a token from the one before it."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where the U tokens lie."""

    peaks: np.ndarray
    """(U,) the frame in which each token is heard best, of those that the path gives it."""
    log_probs: np.ndarray
    """(U,) how likely it is there."""


def ctc_evidence(log_probs: np.ndarray, tokens: Sequence[int], blank: int) -> Evidence:
    """From the log-probabilities (L, V) of a CTC head."""
    distinct, columns = np.unique(np.array(tokens, int), return_inverse=True)
    scores = log_probs[:, [blank, *distinct.tolist()]]
    repeated = np.concatenate([[False], columns[1:] == columns[:-1]])[: len(columns)]
    return Evidence(scores[:, 1:], columns, scores[:, 0], repeated)


def attention_evidence(heads: np.ndarray, silent: np.ndarray | None = None) -> Evidence:
    """From how much each token listens to each frame in each of several heads (heads, U, L), rows adding up to 1.

    The heads that are believed are those that listen to one place at a time, and to a later one for each token. silent
    (L,): frames in which no token can be; a decoder that waits for the next token listens there.
    """
    _, U, L = heads.shape
    listened = heads.argmax(2)
    sharpness = heads.max(2).mean(1) * (listened[:, 1:] > listened[:, :-1]).mean(1) if U > 1 else heads.max(2)[:, 0]
    attention = heads[np.argsort(-sharpness)[:HEADS]].mean(0)
    total = attention.sum(0) + NOBODY / L
    scores = np.log(attention / total + 1e-9).T
    if silent is not None:
        scores = scores - SILENT * silent[:, None]
    return Evidence(scores, np.arange(U), np.log(NOBODY / L / total), np.zeros(U, bool))


def best_path(evidence: Evidence, window: int = WINDOW) -> Alignment | None:
    """The most likely path; None where the frames cannot hold all tokens.

    Of a text longer than `window` tokens, only so many around the most likely place are looked at in each frame.
    """
    e, L, U = evidence, len(evidence.blank), len(evidence.columns)
    if U + e.apart.sum() > L:
        return None
    W = min(U, window)
    jump = np.where(e.apart, -np.inf, 0.0)
    token = np.full(U + 1, -np.inf)  # best score so far of paths that end in token u - 1 …
    blank = np.full(U + 1, -np.inf)  # … and in the blank before token u
    blank[0] = 0.0
    moved = np.zeros((L, 2, W + 1), np.int8)  # how many tokens and blanks back the path came from: see _followed
    lows = np.zeros(L, int)
    low = 0
    for frame in range(L):
        if U > W:
            best = low + int(np.maximum(token[low : low + W + 1], blank[low : low + W + 1]).argmax())
            low = min(max(low, best - W // 3), U - W)
            lows[frame] = low
        here = slice(low, low + W + 1)
        t, b = token[here], blank[here]
        from_blank = t > b  # for the new blank: from the token before it
        new_blank = np.where(from_blank, t, b) + e.blank[frame]
        before = t[:-1] + jump[low : low + W]
        stay, start = t[1:], b[:-1]
        most = np.maximum(np.maximum(stay, start), before)
        moved[frame, 0] = from_blank
        moved[frame, 1, 1:] = np.where(stay == most, 0, np.where(start == most, 1, 2))
        token[low + 1 : low + W + 1] = most + e.scores[frame, e.columns[low : low + W]]
        token[low] = -np.inf
        blank[here] = new_blank
    if not np.isfinite(max(token[U], blank[U])):
        return None
    return _followed(e, moved, lows, token[U] > blank[U])


def _followed(evidence: Evidence, moved: np.ndarray, lows: np.ndarray, on_token: bool) -> Alignment:
    """The path, from its last frame back to its first.

    moved (L, 2, W + 1): where it came from. First row: for the blank before token u, whether from the token before it.
    Second row: for token u - 1, whether from itself (0), the blank before it (1) or the token before (2).
    """
    U = len(evidence.columns)
    peaks, log_probs = np.zeros(U, int), np.full(U, -np.inf)
    u = U  # tokens that are begun, the present one included
    for frame in range(len(moved) - 1, -1, -1):
        if on_token:
            heard = evidence.scores[frame, evidence.columns[u - 1]]
            if heard > log_probs[u - 1]:
                peaks[u - 1], log_probs[u - 1] = frame, heard
            move = moved[frame, 1, u - lows[frame]]
            on_token = move != 1
            u -= move > 0
        else:
            on_token = bool(moved[frame, 0, u - lows[frame]])
    return Alignment(peaks, log_probs)
