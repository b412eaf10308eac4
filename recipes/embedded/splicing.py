"""New sentences from recorded ones: cut between characters, where a model's CTC head says they are, and put together anew."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from joining import Piece

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance
from asr.errors import AsrError
from asr.model.folder import LoadedModel

LONGEST = 7
"""Characters of a stretch."""
MOST_LOST = 6.0
"""Mean nats a character below which an alignment is believed."""


@dataclass(frozen=True)
class Cut:
    """An utterance and where its characters begin and end."""

    utterance: Utterance
    text: str
    """Its characters, N of them."""
    bounds: tuple[float, ...]
    """N + 1 seconds: character i lies between bounds i and i + 1."""

    def piece(self, first: int, last: int) -> Piece:
        """Characters `first` to before `last` as a piece."""
        start = self.bounds[first]
        return Piece(self.utterance.audio, self.utterance.start + start, self.bounds[last] - start)


def align(log_probs: np.ndarray, tokens: Sequence[int], blank: int) -> tuple[list[int], float]:
    """The frame at which each token is most certain on the best CTC path, and the path's log-probability.

    log_probs (L, V). States 0, 2, 4 … are blanks, 1, 3, 5 … the tokens.
    """
    states = [blank]
    for token in tokens:
        states += [token, blank]
    scores = np.full(len(states), -np.inf)
    scores[:2] = log_probs[0, states[:2]]
    may_skip = np.array([i > 1 and s != blank and s != states[i - 2] for i, s in enumerate(states)])
    came_from = np.zeros((len(log_probs), len(states)), np.int64)
    for frame in range(1, len(log_probs)):
        steps = np.full((3, len(states)), -np.inf)
        steps[0], steps[1, 1:], steps[2, 2:] = scores, scores[:-1], scores[:-2]
        steps[2, ~may_skip] = -np.inf
        came_from[frame] = steps.argmax(0)
        scores = steps.max(0) + log_probs[frame, states]
    state = len(states) - 1 - int(scores[-2] > scores[-1])
    total = float(scores[state])
    best: dict[int, tuple[float, int]] = {}
    for frame in range(len(log_probs) - 1, -1, -1):
        if state % 2:
            certain = (float(log_probs[frame, states[state]]), frame)
            best[state] = max(best.get(state, certain), certain)
        state -= int(came_from[frame, state])
    return [best[2 * i + 1][1] for i in range(len(tokens))] if len(best) == len(tokens) else [], total


@torch.no_grad()
def cut(utterance: Utterance, loaded: LoadedModel) -> Cut | None:
    """Where the characters of an utterance lie; None where the model does not hear what was said."""
    model, tokenizer = loaded.model, loaded.tokenizer
    samples = utterance.read()
    tokens = tokenizer.encode(utterance.text)
    memory = model.encode(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    log_probs = model.ctc(memory.encoded)[0].log_softmax(-1).numpy()
    frames, total = align(log_probs, tokens, tokenizer.table.blank)
    if not frames or total < -MOST_LOST * len(tokens):
        return None
    seconds = len(samples) / SAMPLE_RATE / len(log_probs)
    return Cut(utterance, tokenizer.decode(tokens), bounds(samples, [(f + 0.5) * seconds for f in frames]))


def bounds(samples: np.ndarray, peaks: Sequence[float]) -> tuple[float, ...]:
    """Between two peaks the quietest 10 ms; before the first and after the last, a fifth of a second at most."""
    frame = SAMPLE_RATE // 100
    power = np.square(samples[: len(samples) // frame * frame].reshape(-1, frame)).mean(1)
    inner = []
    for left, right in zip(peaks, peaks[1:], strict=False):
        first, last = round(left * 100), max(round(right * 100), round(left * 100) + 1)
        inner.append((first + int(power[first:last].argmin()) + 0.5) / 100)
    return (max(0.0, peaks[0] - 0.25), *inner, min(len(samples) / SAMPLE_RATE, peaks[-1] + 0.3))


def spliced(
    cuts: Sequence[Cut], random: np.random.Generator, longest: int = LONGEST
) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """Endless sentences of stretches from recordings of one speaker, each of `longest` characters at most: text and pieces.

    Of two to five stretches of up to LONGEST characters, of more if they are shorter.
    """
    by_speaker: dict[str, list[Cut]] = defaultdict(list)
    for each in cuts:
        by_speaker[each.utterance.speaker].append(each)
    if not cuts:
        raise AsrError(
            "no recorded sentence could be cut: the model's CTC head does not hear what was said in any of them"
        )
    groups = list(by_speaker.values())
    while True:
        group = groups[random.integers(len(groups))]
        text, pieces = "", []
        for i in random.integers(len(group), size=random.integers(2, 6) * LONGEST // longest):
            n = len(group[i].text)
            first = int(random.integers(n))
            last = min(n, first + int(random.integers(1, longest + 1)))
            text += group[i].text[first:last]
            pieces.append(group[i].piece(first, last))
        yield text, tuple(pieces)
