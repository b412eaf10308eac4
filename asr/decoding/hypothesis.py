"""What a search finds."""

from dataclasses import dataclass, field

DECODER = "decoder"
"""Name of the main scorer in Hypothesis.scores."""
LIMIT_REACHED = "stopped at the length limit: more text than speech of this length can hold"
LOOPING = "stopped where it repeated itself"
LONGEST_LOOP = 24
"""Tokens in the longest piece whose repetition is looked for: eight characters, each written from three bytes."""


@dataclass(frozen=True)
class Hypothesis:
    """One candidate transcription of one utterance."""

    tokens: tuple[int, ...]
    """Ids without sos and eos."""
    score: float
    """What it is ranked by: weighted log-probabilities, normalised for length."""
    token_log_probs: tuple[float, ...]
    """The decoder's log-probability of each token, and of eos last where it was reached."""
    scores: dict[str, float] = field(default_factory=dict)
    """Total log-probability by scorer, before its weight."""
    complete: bool = True
    """False where the length limit came before eos."""
    warnings: tuple[str, ...] = ()
    """What a reader should know before trusting it."""
