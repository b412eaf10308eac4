"""Which frames tokens lie in, and where they begin and end."""

import itertools

import numpy as np
import pytest
import torch

from asr.recognition.alignment import Evidence, attention_evidence, best_path, ctc_evidence
from asr.recognition.boundaries import spans
from tests.sounds import noise, silence, sine

RATE = 16000


def spelled(path, blank=0) -> list[int]:
    """What a path of labels spells in CTC: repeated labels are one, blanks nothing."""
    return [label for label, _ in itertools.groupby(path) if label != blank]


def best_by_trying(log_probs: np.ndarray, tokens: list[int]) -> tuple[int, ...] | None:
    """The most likely labelling of the frames that spells the tokens, of all there are."""
    labels = sorted({0, *tokens})
    fitting = [p for p in itertools.product(labels, repeat=len(log_probs)) if spelled(p) == tokens]
    return max(fitting, key=lambda p: sum(log_probs[t, label] for t, label in enumerate(p)), default=None)


def peaks_of(labelling: tuple[int, ...], log_probs: np.ndarray) -> list[int]:
    """For each token the frame where it is most likely, of those that the labelling gives it."""
    runs, frame = [], 0
    for label, run in itertools.groupby(labelling):
        frames = range(frame, frame := frame + len(list(run)))
        if label:
            runs.append(max(frames, key=lambda t: log_probs[t, label]))
    return runs


@pytest.mark.parametrize("seed", range(60))
def test_the_path_is_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    L, U = random.integers(1, 7), random.integers(1, 4)
    log_probs = torch.tensor(2 * random.normal(size=(L, 4))).log_softmax(-1)
    tokens = random.integers(1, 4, U).tolist()
    expected = best_by_trying(log_probs.numpy(), tokens)
    found = best_path(ctc_evidence(log_probs.numpy(), tokens, blank=0))
    if expected is None:
        assert found is None
    else:
        assert found.peaks.tolist() == peaks_of(expected, log_probs.numpy())
        assert found.log_probs == pytest.approx(log_probs.numpy()[found.peaks, tokens])


def test_a_path_by_hand():
    """Five frames: blank, 7, blank, 7, 7. The second 7 is surest in the last frame."""
    log_probs = torch.full((5, 8), 0.01)
    for frame, (label, p) in enumerate([(0, 0.9), (7, 0.9), (0, 0.9), (7, 0.6), (7, 0.9)]):
        log_probs[frame, label] = p
    path = best_path(ctc_evidence(log_probs.log().numpy(), [7, 7], blank=0))
    assert path.peaks.tolist() == [1, 4] and np.exp(path.log_probs) == pytest.approx([0.9, 0.9])


def test_what_the_frames_cannot_hold_has_no_path():
    log_probs = np.zeros((3, 4))
    assert best_path(ctc_evidence(log_probs, [1, 2, 3], 0)) is not None
    assert best_path(ctc_evidence(log_probs, [1, 1, 3], 0)) is None  # a blank must stand between
    assert best_path(ctc_evidence(log_probs, [1, 2, 3, 1], 0)) is None


def test_a_long_text_is_aligned_within_a_window():
    random = np.random.default_rng(0)
    L, U, C = 4000, 1000, 50
    scores, blank = random.normal(-6, 1, (L, C)).astype(np.float32), np.full(L, -0.1, np.float32)
    columns, frames = random.integers(0, C, U), np.sort(random.choice(L, U, replace=False))
    scores[frames, columns], blank[frames] = -0.1, -5
    evidence = Evidence(scores, columns, blank, np.concatenate([[False], columns[1:] == columns[:-1]]))
    windowed, whole = best_path(evidence, window=60), best_path(evidence)
    assert windowed.peaks.tolist() == whole.peaks.tolist()
    assert (whole.peaks == frames).mean() > 0.98  # two equal tokens in neighbouring frames cannot be parted


def test_attention_heads_that_listen_to_one_place_after_another_are_believed():
    U, L = 4, 40
    frames = np.array([5, 12, 20, 33])
    follows = np.full((U, L), 0.2 / L)
    follows[range(U), frames] += 0.8
    stares = np.full((U, L), 0.1 / L)
    stares[:, 2] += 0.9  # sharper, but always in the same place
    wanders = np.full((U, L), 1 / L)
    path = best_path(attention_evidence(np.stack([stares, wanders, follows, follows])))
    assert path.peaks.tolist() == frames.tolist()


def test_attention_to_one_token():
    heads = np.full((2, 1, 10), 0.05)
    heads[:, 0, 7] = 0.55
    assert best_path(attention_evidence(heads)).peaks.tolist() == [7]


def syllable(consonant: float, vowel: float, hz: float = 200) -> np.ndarray:
    """Hiss, then a tone that fades in and out."""
    tone = sine(vowel, hz=hz) * np.hanning(round(vowel * RATE)).astype(np.float32) ** 0.3
    return np.concatenate([noise(consonant, level=0.03), tone])


def test_a_token_begins_with_its_consonant():
    """Three syllables without pauses, each heard where its vowel begins."""
    parts = [(0.1, 0.3), (0.25, 0.3), (0.05, 0.4)]
    samples = np.concatenate([silence(0.3), *(syllable(*part) for part in parts), silence(0.5)])
    starts = 0.3 + np.cumsum([0, 0.4, 0.55])
    moments = [start + consonant + 0.05 for start, (consonant, _) in zip(starts, parts, strict=True)]
    found = spans(moments, samples, RATE)
    assert [start for start, _ in found] == pytest.approx(starts.tolist(), abs=0.05)
    assert [end for _, end in found] == pytest.approx([0.7, 1.25, 1.7], abs=0.05)


def test_a_pause_belongs_to_neither_token():
    samples = np.concatenate([silence(0.3), syllable(0.1, 0.3), silence(1.0), syllable(0.1, 0.3), silence(0.5)])
    (_, end), (start, _) = spans([0.45, 1.85], samples + noise(2.6, level=1e-4), RATE)
    assert end == pytest.approx(0.7, abs=0.03) and start == pytest.approx(1.7, abs=0.05)


def test_a_pause_in_noise():
    quiet = np.concatenate([silence(0.3), syllable(0.0, 0.3), silence(1.0), syllable(0.0, 0.3), silence(0.5)])
    (_, end), (start, _) = spans([0.35, 1.65], quiet + noise(2.4, level=0.01), RATE)
    assert end == pytest.approx(0.6, abs=0.06) and start == pytest.approx(1.6, abs=0.06)


@pytest.mark.parametrize("slow", ["an offset", "a drift"])
def test_what_is_too_slow_for_a_voice_is_silence(slow):
    samples = np.concatenate([silence(0.3), syllable(0.1, 0.3), silence(1.0), syllable(0.1, 0.3), silence(0.5)])
    samples = 0.5 * samples + noise(2.6, level=1e-4)
    moments = [0.45, 1.85]
    t = np.arange(len(samples)) / RATE
    added = {"an offset": 0.1 + 0 * t, "a drift": 0.2 * t / t[-1] - 0.1}[slow]
    found = spans(moments, samples + added.astype(np.float32), RATE)
    assert np.array(found) == pytest.approx(np.array(spans(moments, samples, RATE)), abs=0.04)
    assert found[0][1] == pytest.approx(0.7, abs=0.05) and found[1][0] == pytest.approx(1.7, abs=0.05)


def test_a_token_does_not_go_on_through_what_was_not_recognised():
    (_, end), (start, _) = spans([1.0, 9.0], noise(10.0), RATE)
    assert end == 2.0 and 8.3 < start < 9.0


@pytest.mark.parametrize("seed", range(200))
def test_spans_are_in_order_and_inside(seed):
    """Whatever is heard, and wherever: also several tokens in one moment, and moments outside of the audio."""
    random = np.random.default_rng(seed)
    seconds = random.uniform(0.005, 3)
    samples = noise(seconds, level=10 ** random.uniform(-6, -1), seed=seed)
    samples[random.random(len(samples) // 800 + 1).repeat(800)[: len(samples)] < 0.5] = 0
    n = int(random.integers(1, 40))
    moments = np.sort(random.uniform(-0.1, seconds + 0.1, n))
    moments = np.repeat(moments, random.integers(1, 4, n))
    found = spans(moments.tolist(), samples, RATE)
    assert len(found) == len(moments)
    flat = [t for span in found for t in span]
    assert flat == sorted(flat) and flat[0] >= 0 and flat[-1] <= len(samples) / RATE + 1e-9
    assert all(start < end for start, end in found)


def test_no_tokens_have_no_spans():
    assert spans([], noise(1.0), RATE) == []
