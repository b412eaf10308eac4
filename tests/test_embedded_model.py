"""The model that comes with the program."""

import pytest

from asr.catalogue.finding import DEFAULT, PRETRAINED
from asr.text.normalize import is_han
from asr.transcription.transcriber import load
from tests.conftest import ROOT

FOLDER = PRETRAINED / DEFAULT
CLIPS = sorted((ROOT / "data/sample").glob("*.flac"))


@pytest.fixture(scope="module")
def transcriber():
    return load()


def test_it_is_small_and_has_a_card_and_a_licence():
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) < 64_000_000
    licence = (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence and "Copyright (c) 2022 OpenAI" in licence
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for word in ("Whisper", "OpenAI", "AISHELL", "DSPSpeech-20", "CER", "dev_sentences", "dev_words"):
        assert word in card


def test_it_prints_chinese_for_the_samples(transcriber):
    assert len(CLIPS) == 3
    for clip in CLIPS:
        text = transcriber.transcribe(clip).text
        assert text and all(map(is_han, text))


def test_different_audio_gives_different_text(transcriber):
    assert len({transcriber.transcribe(clip).text for clip in CLIPS}) == 3


def test_it_writes_what_the_samples_say(transcriber):
    said = dict(line.split() for line in (ROOT / "data/sample/text").read_text(encoding="utf-8").splitlines())
    assert {clip.stem: transcriber.transcribe(clip).text for clip in CLIPS} == said
