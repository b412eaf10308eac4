"""Recorded words and sounds without speech, for the embedded model."""

import sys

import numpy as np
import pytest

from asr.audio.reading import SAMPLE_RATE
from tests.conftest import ROOT
from tests.sounds import sine

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import joining  # noqa: E402
import nonspeech  # noqa: E402


def test_tempo_changes_length_and_keeps_pitch():
    fast = joining.change_tempo(sine(2.0), 1.5)
    assert len(fast) == pytest.approx(2.0 * SAMPLE_RATE / 1.5, rel=0.03)
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(fast) == pytest.approx(440, abs=5)


def test_cross_fade_keeps_the_level():
    ones = np.ones(2000, np.float32)
    joined = joining.cross_fade([ones, ones, ones], 0.02)
    assert len(joined) == 6000 - 2 * int(0.02 * SAMPLE_RATE)
    assert np.allclose(joined, 1, atol=1e-5)


@pytest.mark.parametrize("kind", [*nonspeech.LEARNT, *nonspeech.UNHEARD])
def test_every_kind_of_sound_is_finite_and_not_silent(kind):
    for seed in range(5):
        samples = kind(SAMPLE_RATE, np.random.default_rng(seed))
        assert samples.shape == (SAMPLE_RATE,) and np.isfinite(samples).all() and np.abs(samples).max() > 0


def test_sounds_to_learn_from_say_nothing_and_are_none_of_the_kinds_that_are_only_tried(tmp_path):
    utterances = nonspeech.write_sounds(tmp_path, 6)
    assert {u.text for u in utterances} == {""} and len({u.id for u in utterances}) == 6
    assert {u.source for u in utterances} == {kind.__name__ for kind in nonspeech.LEARNT}
    shortest, longest = nonspeech.SECONDS
    for utterance in utterances:
        samples = utterance.read()
        assert shortest <= utterance.duration <= longest and len(samples) == round(utterance.duration * SAMPLE_RATE)
        assert 0 < np.abs(samples).max() <= 1
    again = nonspeech.write_sounds(tmp_path / "again", 6)
    assert all(np.array_equal(a.read(), b.read()) for a, b in zip(utterances, again, strict=True))
