"""Recorded words and sounds without speech, for the embedded model."""

import sys

import numpy as np
import pytest

from asr.audio.reading import SAMPLE_RATE
from tests.conftest import ROOT
from tests.sounds import sine

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import invented  # noqa: E402
import joining  # noqa: E402


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


@pytest.mark.parametrize("kind", [kind for kinds in invented.KINDS for kind in kinds])
def test_every_kind_of_sound_is_finite_and_not_silent(kind):
    for seed in range(5):
        samples = kind(SAMPLE_RATE, np.random.default_rng(seed))
        assert samples.shape == (SAMPLE_RATE,) and np.isfinite(samples).all() and np.abs(samples).max() > 0
