"""What a beam search does with hypotheses that are finished: our own rule, and those of the toolkits that models come from.

A new rule is a class and a line in RULES; its docstring says what it does. One object serves one search: it holds what
the rule must know of earlier steps.
"""

import torch
from torch import Tensor

from asr.decoding.beam import (
    Beam,
    Best,
    Ended,
    SearchSettings,
    Step,
    closed_up,
    finished,
    in_their_places,
    stopped_early,
    unfinished,
    without_done,
)
from asr.decoding.rule_names import UNWRITTEN


class Rule:
    """What all rules share; `looks` and `n_unwritten` are theirs to change."""

    looks = 1
    """So many times the beam are the continuations that are looked at."""
    n_unwritten = 0
    """Tokens of what stops at the length limit that are not written."""

    def __init__(self, n_utterances: int, settings: SearchSettings, device: torch.device):
        self.settings = settings

    def step(self, beam: Beam, best: Best, room: Tensor) -> Step:
        """One token more; `room` (B,): how many, this one included, may still be taken."""
        raise NotImplementedError

    def select(self, utterances: Tensor) -> None:
        """Only these utterances, as indices into those of the last step, go on."""

    def ranked(self, ended: list[Ended]) -> list[Ended]:
        """Those that count in the end, of all that `step` gave: they are ranked by their scores."""
        return ended


class Own(Rule):
    """`beam` unfinished hypotheses always go on, until as many are finished."""

    looks = 2

    def step(self, beam: Beam, best: Best, room: Tensor) -> Step:
        N = self.settings.beam
        ends = best.is_eos[:, :N] & best.real[:, :N]
        ended, n_ended = finished(beam, best, ends), beam.n_ended + ends.sum(1)
        new, chosen, loops = closed_up(beam, best, self.settings, n_ended)
        done = (n_ended >= N) | (room <= 0) | new.empty
        if not done.any():
            return Step(new, chosen, ended)
        ended += stopped_early(beam, done & (n_ended == 0), loops)
        return without_done(beam, new, chosen, done, ended=ended)


class Transformers(Rule):
    """The generation of Hugging Face's Transformers, without early stopping.

    The best 2 * beam continuations count as with our own rule: those that end among the first `beam` are finished, and the best
    `beam` others go on; but until none of these, by its rank at the length it has, is above the worst of `beam` finished ones.
    """

    looks = 2

    def __init__(self, n_utterances: int, settings: SearchSettings, device: torch.device):
        super().__init__(n_utterances, settings, device)
        self.ranks = torch.full(
            (n_utterances, settings.beam), -torch.inf, device=device
        )  # of the best that are finished

    def step(self, beam: Beam, best: Best, room: Tensor) -> Step:
        N, U, rank = self.settings.beam, beam.tokens.shape[2] + 1, self.settings.rank
        at_limit = room <= 1
        first = best.real & (torch.arange(best.scores.shape[1], device=best.scores.device) < N)
        ends, stops = first & best.is_eos, first & ~best.is_eos & at_limit[:, None]
        ended = finished(beam, best, ends) + unfinished(beam, best, stops)
        ranks = rank(best.scores, U).masked_fill(~ends, -torch.inf)
        self.ranks = torch.cat([self.ranks, ranks], dim=1).topk(N, dim=1).values
        n_ended = beam.n_ended + ends.sum(1)
        new, chosen, loops = closed_up(beam, best, self.settings, n_ended)
        worst = self.ranks[:, -1]
        hopeless = (worst > -torch.inf) & (rank(new.total.amax(1), U) <= worst)
        done = at_limit | hopeless | new.empty
        if not done.any():
            return Step(new, chosen, ended)
        ended += stopped_early(beam, done & (n_ended == 0) & ~stops.any(1), loops)
        return without_done(beam, new, chosen, done, ended=ended)

    def select(self, utterances: Tensor) -> None:
        self.ranks = self.ranks[utterances]


class Wenet(Rule):
    """WeNet and FireRedASR: what is finished keeps its place in the beam until better ones push it out, and then is lost."""

    def __init__(self, n_utterances: int, settings: SearchSettings, device: torch.device):
        super().__init__(n_utterances, settings, device)
        shape = (n_utterances, settings.beam)
        self.held = torch.full(shape, -torch.inf, device=device)  # scores of the finished ones that have places
        self.numbers = torch.full(
            shape, -1, device=device
        )  # and their numbers, in the order in which all have finished
        self.n_finished, self.lost = 0, set[int]()

    def step(self, beam: Beam, best: Best, room: Tensor) -> Step:
        lowest = torch.cat([self.held, best.scores], dim=1).topk(self.settings.beam, dim=1).values[:, -1:]
        best = best._replace(scores=best.scores.masked_fill(best.scores < lowest, -torch.inf))
        ends = best.is_eos & best.real
        self._hold(best.scores.masked_fill(~ends, -torch.inf), ends, lowest)
        return _leaving_places(self, beam, best, ends, room <= 1)

    def _hold(self, scores: Tensor, ends: Tensor, lowest: Tensor) -> None:
        """Gives places to what ends, in the order of the scores; of equal ones that which was there before goes first."""
        numbers = ends.flatten().cumsum(0).view_as(ends) - 1 + self.n_finished
        held, numbers = torch.cat([self.held, scores], dim=1), torch.cat([self.numbers, numbers], dim=1)
        held, order = held.sort(dim=1, descending=True, stable=True)
        numbers, N = numbers.gather(1, order), self.settings.beam
        loses = (held < lowest) & (held > -torch.inf)
        loses[:, N:] |= held[:, N:] > -torch.inf
        self.lost.update(numbers[loses].tolist())
        self.held, self.numbers = held.masked_fill(loses, -torch.inf)[:, :N], numbers[:, :N]
        self.n_finished += int(ends.sum())

    def select(self, utterances: Tensor) -> None:
        self.held, self.numbers = self.held[utterances], self.numbers[utterances]

    def ranked(self, ended: list[Ended]) -> list[Ended]:
        """All but those that lost their places."""
        counting, n = [], 0
        for some in ended:
            if not some.warning:
                numbers = range(n, n + len(some.utterances))
                n = numbers.stop
                some = some.only([i for i, number in enumerate(numbers) if number not in self.lost])
            counting.append(some)
        return counting


class Espnet(Rule):
    """ESPnet: what is finished leaves its place empty, until ends of the last lengths were far from the best."""

    def __init__(self, n_utterances: int, settings: SearchSettings, device: torch.device):
        super().__init__(n_utterances, settings, device)
        self.best_ended = torch.zeros(n_utterances, 0, device=device)  # at each step so far; -inf where nothing ended

    def step(self, beam: Beam, best: Best, room: Tensor) -> Step:
        ends = best.is_eos & best.real
        now = best.scores.masked_fill(~ends, -torch.inf).amax(1, keepdim=True)
        self.best_ended = torch.cat([self.best_ended, now], dim=1)
        return _leaving_places(self, beam, best, ends, room <= 1, done=end_detected(self.best_ended))

    def select(self, utterances: Tensor) -> None:
        self.best_ended = self.best_ended[utterances]


def end_detected(best_ended: Tensor) -> Tensor:
    """(B, U) → (B,): in each of three steps something ended, and nothing near the best (Watanabe et al. 2017, equation 50).

    As ESPnet reckons it, the steps are the third last to the fifth last, and far is 10 nats.
    """
    U = best_ended.shape[1]
    if U < 5:
        return torch.zeros(len(best_ended), dtype=torch.bool, device=best_ended.device)
    three = best_ended[:, U - 5 : U - 2]
    far = three - best_ended.amax(1, keepdim=True) < -10
    return (far & (three > -torch.inf)).all(1)


class Speechbrain(Rule):
    """SpeechBrain: what is finished leaves its place empty, until `beam` are finished.

    Its beam search takes the last token of what has not ended for eos: it is not written, though its score counts, and of
    the beam's best only those fill up the places left, to which those that ended just now belong once more. No user loses it:
    `n_unwritten` gives this rule one token more, and a hypothesis that was stopped says so, for which the recognizer decodes its
    audio again in pieces, or warns where that is too short.
    """

    n_unwritten = UNWRITTEN["speechbrain"]

    def step(self, beam: Beam, best: Best, room: Tensor) -> Step:
        N = self.settings.beam
        ends = best.is_eos & best.real
        ends &= beam.n_ended[:, None] + ends.cumsum(1) <= N
        n_ended = beam.n_ended + ends.sum(1)
        may_stop = None
        if N > 1:
            may_stop = n_ended[:, None] + torch.arange(1, best.scores.shape[1] + 1, device=n_ended.device) <= N
        return _leaving_places(self, beam, best, ends, room <= 1, done=n_ended >= N, may_stop=may_stop)


def _leaving_places(
    rule: Rule,
    beam: Beam,
    best: Best,
    ends: Tensor,
    at_limit: Tensor,
    *,
    done: Tensor | None = None,
    may_stop: Tensor | None = None,
) -> Step:
    """A step in which what ends does not make room for others.

    At the limit (B,) what has not ended counts as it is, where it may (B, M). Utterances are done there, where nothing goes on,
    and where `done` (B,) says so.
    """
    ended, n_ended = finished(beam, best, ends), beam.n_ended + ends.sum(1)
    new, chosen, loops = in_their_places(beam, best, rule.settings, n_ended)
    done = at_limit | new.empty if done is None else done | at_limit | new.empty
    if not done.any():
        return Step(new, chosen, ended)
    stops = at_limit[:, None] & (new.total > -torch.inf)
    if may_stop is not None:
        stops &= may_stop
    n_unwritten = rule.n_unwritten if rule.settings.beam > 1 else 0  # a greedy search, in that toolkit, writes all
    ended += unfinished(beam, best, stops, n_unwritten)
    ended += stopped_early(beam, done & (n_ended == 0) & ~stops.any(1), loops)
    return without_done(beam, new, chosen, done, ended=ended)


RULES: dict[str, type[Rule]] = {
    "own": Own,
    "wenet": Wenet,
    "espnet": Espnet,
    "speechbrain": Speechbrain,
    "transformers": Transformers,
}
"""Name in decode.rule → rule."""
