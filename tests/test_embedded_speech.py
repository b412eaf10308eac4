"""Recorded words and sounds without speech, for the embedded model."""

import sys

import numpy as np
import pytest
import soundfile
import torch

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance, write_manifest
from asr.model.folder import load_model, save_model
from tests.conftest import ROOT, random_model
from tests.sounds import sine, speech

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import everyday  # noqa: E402
import joining  # noqa: E402
import no_speech  # noqa: E402
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


@pytest.mark.parametrize("kind", [*no_speech.KINDS, *nonspeech.UNHEARD])
@pytest.mark.parametrize("seconds", [0.2, 1, 2.5])
def test_every_kind_of_sound_is_finite_and_not_silent(kind, seconds):
    n = round(seconds * SAMPLE_RATE)
    for seed in range(5):
        samples = kind(n, np.random.default_rng(seed))
        assert samples.shape == (n,) and np.isfinite(samples).all() and np.abs(samples).max() > 0


def test_beeps_are_pure_tones_and_silence():
    for seed in range(20):
        samples = nonspeech.beeps(4 * SAMPLE_RATE, np.random.default_rng(seed))
        spectrum = np.square(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))
        hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
        assert spectrum[hz < 100].sum() + spectrum[hz > 3700].sum() < 0.01 * spectrum.sum()
        assert (np.abs(samples) < 1e-6).mean() > 0.05 and np.abs(samples[:SAMPLE_RATE]).max() > 0.5


def test_sounds_to_learn_from_say_nothing_and_are_none_of_the_kinds_that_are_only_tried(tmp_path):
    count = len(nonspeech.LEARNT) + 1 + len(nonspeech.LEARNT_ONLY)
    utterances = nonspeech.write_sounds(tmp_path, count)
    assert {u.text for u in utterances} == {""} and len({u.id for u in utterances}) == count
    assert {u.source for u in utterances} == {k.__name__ for k in (*nonspeech.LEARNT, *nonspeech.LEARNT_ONLY)}
    shortest, longest = nonspeech.SECONDS
    for utterance in utterances:
        samples = utterance.read()
        assert shortest <= utterance.duration <= longest and len(samples) == round(utterance.duration * SAMPLE_RATE)
        assert 0 < np.abs(samples).max() <= 1
    again = nonspeech.write_sounds(tmp_path / "again", count)
    assert all(np.array_equal(a.read(), b.read()) for a, b in zip(utterances, again, strict=True))


def test_half_of_the_sounds_to_learn_from_are_about_as_short_as_words(tmp_path):
    seconds = [u.duration for u in nonspeech.write_sounds(tmp_path, 96)]
    assert 0.35 < sum(s < 2 for s in seconds) / len(seconds) < 0.65


def test_what_is_tried_does_not_change_with_what_is_learnt_from():
    """Figures of `invented.py` can be compared from model to model."""
    tried = [kind.__name__ for kind in (*nonspeech.LEARNT, *nonspeech.UNHEARD)]
    assert tried == ["noise", "swelling", "hum", "tune", "knocks", "siren", "birds", "crackle", "room"]


def test_the_no_speech_head_learns_from_every_kind_but_those_that_are_only_tried():
    names = [kind.__name__ for kind in (*no_speech.KINDS, *nonspeech.UNHEARD)]
    assert len(set(names)) == len(names) == len(everyday.EVERYDAY) + 11
    assert not set(no_speech.KINDS) & set(nonspeech.UNHEARD)


def test_speech_recorded_elsewhere_is_as_loud_as_samples_may_be_and_not_shorter_than_a_syllable():
    longest = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        samples = no_speech.elsewhere(no_speech.part(speech(6.0, seed), random), random)
        assert np.isfinite(samples).all() and 1e-3 < np.abs(samples).max() <= 1.05 and len(samples) > 0.5 * SAMPLE_RATE
        longest = max(longest, len(samples))
    assert longest > 3 * SAMPLE_RATE  # with sounds before and behind


def test_the_recipe_writes_a_head_that_the_model_is_loaded_with(tmp_path, tokenizer, capsys):
    save_model(tmp_path / "model", random_model(), tokenizer.table)
    soundfile.write(tmp_path / "a.wav", speech(2.0), SAMPLE_RATE)
    write_manifest(tmp_path / "a.jsonl", [Utterance("a", tmp_path / "a.wav", 2.0, "他去")])
    given = [str(tmp_path / "model"), str(tmp_path / "a.jsonl"), "--sounds", "1"]
    threads = torch.get_num_threads()
    try:
        no_speech.main(given)
        no_speech.main([*given, "--leave-out"])
    finally:
        torch.set_num_threads(threads)
    told = capsys.readouterr().out.splitlines()
    assert "of 1 clips of speech" in told[0] and {line.split(":")[0] for line in told[1:]} >= {"siren", "rain", "music"}
    assert load_model(tmp_path / "model").model.no_speech.weight.any()
