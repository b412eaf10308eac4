from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.corpus.manifest import Utterance, read_manifest
from asr.corpus.toy import CHARACTERS, prepare_toy, speak
from asr.text.normalize import normalize

SIZES = {"train": 30, "dev": 4, "test": 6}


def prepare(folder: Path, seed: int = 1) -> dict[str, list[Utterance]]:
    manifests = prepare_toy(folder, *SIZES.values(), seed=seed)
    return {split: read_manifest(path) for split, path in manifests.items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> dict[str, list[Utterance]]:
    return prepare(tmp_path_factory.mktemp("small"))


def test_the_language_has_twenty_characters():
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 20
    assert normalize(CHARACTERS) == CHARACTERS


def test_splits_have_the_sizes_asked_for(corpus):
    assert {split: len(utterances) for split, utterances in corpus.items()} == SIZES


def test_no_sentence_is_in_two_splits(tmp_path, monkeypatch):
    """Of 600 random sentences some 120 have two characters, for which there are only 400 possibilities."""
    monkeypatch.setattr("asr.corpus.toy.speak", lambda text, random: np.zeros(1600, np.float32))
    manifests = prepare_toy(tmp_path, 400, 100, 100)
    texts = [utterance.text for path in manifests.values() for utterance in read_manifest(path)]
    assert len(set(texts)) == len(texts) == 600
    assert all(2 <= len(text) <= 6 and set(text) <= set(CHARACTERS) for text in texts)


def test_audio_is_as_long_as_the_manifest_says(corpus):
    for utterance in (u for utterances in corpus.values() for u in utterances):
        info = soundfile.info(utterance.audio)
        assert (info.samplerate, info.channels) == (16000, 1)
        assert utterance.duration == pytest.approx(info.frames / 16000, abs=1e-4)
        assert 0.3 < utterance.duration < 3


def test_the_same_seed_gives_the_same_corpus(corpus, tmp_path):
    again = prepare(tmp_path)
    for split, utterances in corpus.items():
        assert [(u.id, u.text, u.duration) for u in utterances] == [(u.id, u.text, u.duration) for u in again[split]]
        for first, second in zip(utterances, again[split], strict=True):
            assert first.audio.read_bytes() == second.audio.read_bytes()


def test_another_seed_gives_another_corpus(corpus, tmp_path):
    other = prepare(tmp_path, seed=2)
    assert [u.text for u in corpus["test"]] != [u.text for u in other["test"]]


def test_speakers_differ():
    random = np.random.default_rng(0)
    first, second = speak("阿妈", random), speak("阿妈", random)
    assert first.dtype == np.float32 and np.abs(first).max() <= 1
    assert not np.array_equal(first[:4000], second[:4000])
