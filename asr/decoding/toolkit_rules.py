"""How other toolkits go on from one step of a beam search to the next: all rules of decode.rule but our own."""

from dataclasses import replace

import torch
from torch import Tensor

from asr.decoding.beam import (
    LIMIT_REACHED,
    Beam,
    Chosen,
    Ended,
    continued,
    ended_now,
    find_loops,
    going_on,
    left_over,
    stopped_early,
    take_rows,
)
from asr.decoding.settings import DecodeConfig


def step_by_rule(
    beam: Beam,
    candidates: Tensor,
    parts: Tensor,
    weights: Tensor,
    config: DecodeConfig,
    eos: int,
    at_limit: Tensor,
    gone: set[tuple[int, float]],
) -> tuple[Beam, Chosen | None, list[Ended]]:
    """The next step as other toolkits do it: only the best `beam` continuations count, those that end among them.

    `at_limit`: utterances that take no token after this one; what has not ended then counts as it is. `gone` is given
    the utterance and the score of those that had ended and lost their places.

    SpeechBrain's beam search takes the last token of what has not ended for eos: it is not written, though its score
    counts, and of the beam's best only those fill up the places left, to which those that ended just now belong once more.
    No user loses it: DecodeConfig.max_tokens gives this rule one token more, and a hypothesis that was stopped says so, for
    which the recognizer decodes its audio again in pieces, or warns where that is too short.
    """
    N, rule = config.beam, config.rule
    top, origin, place, last, log_probs = continued(beam, candidates, parts, weights, N)
    kept = beam.kept
    if rule == "wenet":
        lowest = torch.cat([kept, top], dim=1).topk(N, dim=1).values[:, -1:]
        for b, n in ((kept > -torch.inf) & (kept < lowest)).nonzero().tolist():
            gone.add((int(beam.utterances[b]), float(kept[b, n])))
        top, kept = top.masked_fill(top < lowest, -torch.inf), kept.masked_fill(kept < lowest, -torch.inf)
    real = top > -torch.inf
    ends = (last == eos) & real
    kept = torch.cat([kept, top.masked_fill(~ends, -torch.inf)], dim=1).topk(N, dim=1).values
    best_ended = torch.cat([beam.best_ended, top.masked_fill(~ends, -torch.inf).amax(1, keepdim=True)], dim=1)
    if rule == "speechbrain":
        ends &= beam.n_ended[:, None] + ends.cumsum(1) <= N
    n_ended = beam.n_ended + ends.sum(1)
    ended = [ended_now(beam, ends, (top, origin, place, last, log_probs))]

    tokens = torch.cat([take_rows(beam.tokens, origin), last[:, :, None]], dim=2)
    goes_on = real & (last != eos)
    loops = find_loops(tokens) & goes_on if config.stop_loops else torch.zeros_like(goes_on)
    total = (top + config.length_bonus).masked_fill(~goes_on | loops, -torch.inf)
    new = Beam(beam.utterances, n_ended, last, total, tokens, log_probs, kept, best_ended)
    at_limit = at_limit[beam.utterances]
    done = at_limit | (total == -torch.inf).all(1)
    if rule == "speechbrain":
        done |= n_ended >= N
    if rule == "espnet":
        done |= _end_detected(best_ended)
    unfinished = (done & at_limit)[:, None] & (total > -torch.inf)
    written = tokens
    if rule == "speechbrain" and N > 1:
        unfinished &= n_ended[:, None] + torch.arange(1, top.shape[1] + 1, device=top.device) <= N
        written = tokens[:, :, :-1]
    b, rank = unfinished.nonzero(as_tuple=True)
    ended.append(Ended(beam.utterances[b], written[b, rank], log_probs[b, rank], total[b, rank], LIMIT_REACHED))
    ended += stopped_early(beam, done & (n_ended == 0) & ~unfinished.any(1), loops)
    left = (~done).nonzero()[:, 0]
    if not len(left):
        return beam, None, ended
    return *left_over(new, Chosen(left, origin, place)), ended


def step_of_transformers(
    beam: Beam,
    candidates: Tensor,
    parts: Tensor,
    weights: Tensor,
    config: DecodeConfig,
    eos: int,
    at_limit: Tensor,
) -> tuple[Beam, Chosen | None, list[Ended]]:
    """The next step as the generation of Hugging Face's Transformers does it, without early stopping.

    As with our own rule the best 2 * beam continuations count: those that end among the first `beam` are finished, and the
    best `beam` others go on; but until none of these, by its rank at the length it has, is above the worst of `beam` finished
    ones. `at_limit`: as for `step_by_rule`.
    """
    N, U = config.beam, beam.tokens.shape[2] + 1
    top, origin, _, token, log_probs = continuations = continued(beam, candidates, parts, weights, 2 * N)
    at_limit, is_eos = at_limit[beam.utterances], token == eos
    first = (top > -torch.inf) & (torch.arange(top.shape[1], device=top.device) < N)
    ends, unfinished = first & is_eos, first & ~is_eos & at_limit[:, None]
    ended = [ended_now(beam, ends, continuations)]
    b, rank = unfinished.nonzero(as_tuple=True)
    written = torch.cat([beam.tokens[b, origin[b, rank]], token[b, rank][:, None]], dim=1)
    ended.append(Ended(beam.utterances[b], written, log_probs[b, rank], top[b, rank], LIMIT_REACHED))
    kept = torch.cat([beam.kept, config.rank(top, U).masked_fill(~ends, -torch.inf)], dim=1).topk(N, dim=1).values
    n_ended = beam.n_ended + ends.sum(1)
    new, origin, place, loops = going_on(beam, is_eos, continuations, N, config.stop_loops, config.length_bonus)
    hopeless = (kept[:, -1] > -torch.inf) & (config.rank(new.total.amax(1), U) <= kept[:, -1])
    done = at_limit | hopeless | (new.total == -torch.inf).all(1)
    ended += stopped_early(beam, done & (n_ended == 0) & ~unfinished.any(1), loops)
    left = (~done).nonzero()[:, 0]
    if not len(left):
        return beam, None, ended
    return *left_over(replace(new, n_ended=n_ended, kept=kept), Chosen(left, origin, place)), ended


def _end_detected(best_ended: Tensor) -> Tensor:
    """(B, U) → (B,): in each of three steps something ended, and nothing near the best (Watanabe et al. 2017, equation 50).

    Of ESPnet's own reckoning: the steps are the third last to the fifth last, and far is 10 nats.
    """
    U = best_ended.shape[1]
    if U < 5:
        return torch.zeros(len(best_ended), dtype=torch.bool, device=best_ended.device)
    three = best_ended[:, U - 5 : U - 2]
    far = three - best_ended.amax(1, keepdim=True) < -10
    return (far & (three > -torch.inf)).all(1)
