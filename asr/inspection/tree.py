"""A beam search as the tree of all texts that it had in its beam, with its own numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from asr.decoding.beam import Best
from asr.decoding.search import Looked

ALIVE, ENDED, STOPPED = "alive", "ended", "stopped"
"""What became of a text: it was in the beam, it ended with eos, or it was ended without."""
Prefix = tuple[int, ...]
"""Tokens of a text, eos last where it has ended: by these each is known, for no two texts of a beam are the same."""


@dataclass(frozen=True)
class Candidate:
    """A token that could have come next."""

    token: int
    """Its id."""
    log_prob: float
    """What the decoder gives it."""
    parts: tuple[float, ...] | None
    """What each scorer gives it, before its weight; None where it was not among those that the scorers judge. The decoder's is
    -inf where the end is held back."""
    place: int | None = None
    """Its place among the best continuations of all texts of the beam, from 0; None where it is not among them."""
    total: float | None = None
    """The sum by which it has that place."""


@dataclass(eq=False)
class Node:
    """A text of the search."""

    path: Prefix
    """Its tokens."""
    parts: tuple[float, ...]
    """What each scorer gave its last token, before its weight."""
    chosen_by: float
    """The weighted sum by which it was chosen."""
    total: float
    """The same, with the bonus for its length where it went on."""
    fate: str = ALIVE
    """What became of it."""
    place: int = 0
    """Its place in the beam, from 0, or among what ended beside it."""
    candidates: list[Candidate] = field(default_factory=list)
    """What could have followed: the decoder's likeliest and whatever is among the best; none where it did not go on."""

    @property
    def parent(self) -> Prefix:
        """The text without its last token."""
        return self.path[:-1]


class Tree:
    """All texts of one utterance, by their tokens."""

    def __init__(self, eos: int, likeliest: int):
        """likeliest: how many of the decoder's likeliest tokens are kept of each text."""
        self.eos, self.likeliest = eos, likeliest
        self.nodes: dict[Prefix, Node] = {(): Node((), (), 0.0, 0.0)}
        self.weights: dict[str, float] = {}
        """Scorer → its weight."""

    def add(self, looked: Looked, b: int) -> None:
        """One step, of the b-th utterance that it looked at."""
        self.weights = looked.weights
        before = [tuple(row) for row in looked.beam.tokens[b].tolist()]
        alive = (looked.beam.total[b].isfinite()).tolist()
        best = {
            (*before[origin], token): (place, score)
            for place, (origin, token, score) in enumerate(_best(looked.best, b))
        }
        for n, path in enumerate(before):
            if alive[n]:
                self.nodes[path].candidates = self._candidates(looked, b, n, path, best)
        utterance = int(looked.beam.utterances[b])
        self._add_ended(looked, utterance, best)
        self._add_alive(looked, utterance, best)

    def _candidates(self, looked: Looked, b: int, n: int, path: Prefix, best: dict) -> list[Candidate]:
        """The decoder's likeliest tokens, and those that are among the best, likeliest first."""
        scores = looked.scores[b, n]
        top = scores.topk(min(self.likeliest, len(scores)))
        said = dict(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        judged = {
            token: tuple(parts)
            for token, parts in zip(looked.candidates[b, n].tolist(), looked.parts[b, n].tolist(), strict=True)
        }
        said |= {p[-1]: float(scores[p[-1]]) for p in best if p[:-1] == path}
        found = [
            Candidate(token, log_prob, judged.get(token), *best.get((*path, token), (None, None)))
            for token, log_prob in said.items()
            if log_prob > -math.inf
        ]
        return sorted(found, key=lambda candidate: -candidate.log_prob)

    def _add_alive(self, looked: Looked, utterance: int, best: dict) -> None:
        """What is in the beam behind the step; nothing where the utterance is done."""
        beam = looked.step.beam
        left = beam.utterances.tolist()
        if looked.step.chosen is None or utterance not in left:
            return
        b, place = left.index(utterance), 0
        for tokens, total, parts in zip(
            beam.tokens[b].tolist(), beam.total[b].tolist(), beam.log_probs[b, :, -1].tolist(), strict=True
        ):
            if total > -math.inf:
                path = tuple(tokens)
                self.nodes[path] = Node(path, tuple(parts), best[path][1], total, place=place)
                place += 1

    def _add_ended(self, looked: Looked, utterance: int, best: dict) -> None:
        place = 0
        for some in looked.step.ended:
            for i, one in enumerate(some.utterances.tolist()):
                if one != utterance:
                    continue
                tokens, log_probs = some.tokens[i].tolist(), some.log_probs[i].tolist()
                path = tuple(tokens) if some.warning else (*tokens, self.eos)
                if path not in self.nodes:
                    chosen_by = best[path][1]
                    self.nodes[path] = Node(
                        path, tuple(log_probs[len(path) - 1]), chosen_by, chosen_by, ENDED, place=place
                    )
                if some.warning:
                    self.nodes[path].fate = STOPPED
                place += 1

    def way(self, path: Prefix) -> list[Node]:
        """The nodes from the root to a text, both included."""
        return [self.nodes[path[:length]] for length in range(len(path) + 1)]


def _best(best: Best, b: int) -> Iterator[tuple[int, int, float]]:
    """(text that is continued, token, weighted sum) of the continuations of an utterance, best first."""
    rows = zip(best.origins[b].tolist(), best.tokens[b].tolist(), best.scores[b].tolist(), strict=True)
    return (row for row in rows if row[2] > -math.inf)


class TreeWatch:
    """Is told of the steps of one batch: a tree for each utterance."""

    def __init__(self, eos: int, likeliest: int):
        self.eos, self.likeliest = eos, likeliest
        self.trees: dict[int, Tree] = {}

    def __call__(self, looked: Looked) -> None:
        for b, utterance in enumerate(looked.beam.utterances.tolist()):
            tree = self.trees.setdefault(utterance, Tree(self.eos, self.likeliest))
            tree.add(looked, b)
