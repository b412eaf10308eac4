"""`asr evaluate`, interrupted and gone on with."""

from pathlib import Path

import pytest
import soundfile

from asr.corpus.manifest import Utterance, write_manifest
from asr.corpus.toy import CHARACTERS
from asr.decoding.recognizer import Recognizer
from asr.transcription import decoded
from asr.transcription.decoded import UNFINISHED
from asr.transcription.evaluate import evaluate_manifest
from tests.sounds import speech


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """Seven utterances."""
    folder = tmp_path_factory.mktemp("few")
    texts = ["".join(CHARACTERS[i : i + 3]) for i in range(7)]
    for i in range(7):
        soundfile.write(folder / f"{i}.wav", speech(1, seed=i), 16000)
    utterances = [Utterance(f"u{i}", folder / f"{i}.wav", 1.0, text) for i, text in enumerate(texts)]
    write_manifest(folder / "few.jsonl", utterances)
    return folder / "few.jsonl"


class Counting:
    """In the place of Recognizer.recognize: counts utterances, and is interrupted before call number `at`."""

    def __init__(self, monkeypatch, at: int = 0):
        self.at, self.calls, self.utterances, self.real = at, 0, 0, Recognizer.recognize
        monkeypatch.setattr(decoded, "CHUNK", 3)
        monkeypatch.setattr(Recognizer, "recognize", lambda *arguments: self(*arguments))

    def __call__(self, recognizer, utterances, *rest):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        self.utterances += len(utterances)
        return self.real(recognizer, utterances, *rest)


def evaluate(model: Path, manifest: Path, out: Path, **settings) -> tuple[list[str], list[str]]:
    said: list[str] = []
    return list(evaluate_manifest(model, manifest, out, nbest=2, say=said.append, **settings)), said


def test_it_goes_on_where_it_was(model, manifest, tmp_path, monkeypatch):
    expected, _ = evaluate(model, manifest, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Counting(patch, at=3)
        evaluate(model, manifest, tmp_path / "out")
    part = tmp_path / "out" / UNFINISHED
    part.write_text(part.read_text() + '{"id": "cut of')  # killed while a line was written
    with monkeypatch.context() as patch:
        counting = Counting(patch)
        found, said = evaluate(model, manifest, tmp_path / "out")
    assert counting.utterances == 1 and f"{part}: 6 of 7 utterances are decoded already" in said
    assert found == expected and not part.exists()
    for name in ("hyp.txt", "nbest.jsonl"):
        assert (tmp_path / "out" / name).read_text() == (tmp_path / "whole" / name).read_text()


@pytest.mark.parametrize("settings", [{"overrides": ["length_bonus=0.5"]}, {"swap_audio": True}, {"force": True}])
def test_what_was_decoded_otherwise_is_not_used(model, manifest, tmp_path, monkeypatch, settings):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Counting(patch, at=2)
        evaluate(model, manifest, tmp_path)
    with monkeypatch.context() as patch:
        counting = Counting(patch)
        _, said = evaluate(model, manifest, tmp_path, **settings)
    assert counting.utterances == 7 and not any("already" in line for line in said)
