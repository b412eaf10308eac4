"""`asr evaluate`, interrupted and gone on with."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

import asr
from asr.catalogue.opening import Decoding
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.corpus.toy import CHARACTERS
from asr.errors import AsrError
from asr.evaluation import decoded
from asr.evaluation.decoded import UNFINISHED, Unfinished
from asr.folders import locked
from asr.recognition.recognizer import Recognizer
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


@pytest.fixture(scope="module")
def whole(model, manifest, tmp_path_factory) -> list[str]:
    """What is printed of an evaluation that nothing interrupts."""
    return evaluate(model, manifest, tmp_path_factory.mktemp("whole"))[0]


def evaluate(model: Path, manifest: Path, out: Path, **settings) -> tuple[list[str], list[str]]:
    said: list[str] = []
    decoding = Decoding(model, {"nbest": 2} | settings.pop("decode", {}))
    return asr.evaluate(decoding, manifest, out=out, say=said.append, **settings).lines(), said


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


@pytest.mark.parametrize("settings", [{"decode": {"length_bonus": 0.5}}, {"swap_audio": True}])
def test_what_was_decoded_otherwise_is_not_used(model, manifest, tmp_path, monkeypatch, settings):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Counting(patch, at=2)
        evaluate(model, manifest, tmp_path)
    with monkeypatch.context() as patch:
        counting = Counting(patch)
        _, said = evaluate(model, manifest, tmp_path, **settings)
    assert counting.utterances == 7 and not any("already" in line for line in said)


def interrupted(model: Path, manifest: Path, out: Path, monkeypatch, at: int, **settings) -> Path:
    """An evaluation that ended before chunk number `at` of three; returns what it left."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Counting(patch, at=at)
        evaluate(model, manifest, out, **settings)
    return out / UNFINISHED


SPOILED = {
    "cut in a line": lambda data: data[:-40],
    "cut in a character": lambda data: data[: data.rindex("阿".encode()) + 1] if "阿".encode() in data else data[:-1],
    "zeros": lambda data: data[:-60] + b"\0" * 60,
    "only zeros": lambda data: b"\0" * len(data),
    "a line twice": lambda data: data + data.splitlines(keepends=True)[-1],
    "a foreign line": lambda data: data + b'{"id": "u6", "nbest": [["x"]]}\n',
    "another's line": lambda data: data.replace(b'"u4"', b'"u9"'),
    "no object": lambda data: data + b"[" * 5000 + b"\n",
    "empty": lambda data: b"",
    "a head alone": lambda data: data.splitlines(keepends=True)[0],
    "half a head": lambda data: data[:30],
}


class Stub:
    """In the place of a recognizer: what it writes of a recording depends on its samples; two hypotheses each."""

    def __init__(self):
        self.utterances = 0

    def recognize(self, heard):
        self.utterances += len(heard)
        texts = [CHARACTERS[int(1e6 * abs(samples).sum()) % 20] for samples in heard]
        return [
            [SimpleNamespace(text=t + x, hypothesis=SimpleNamespace(score=-1.25, scores={})) for x in "阿衣"]
            for t in texts
        ]


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_spoiled_is_decoded_again(manifest, tmp_path, monkeypatch, how):
    monkeypatch.setattr(decoded, "CHUNK", 3)
    utterances, path, head = read_manifest(manifest), tmp_path / UNFINISHED, {"model": "a"}
    expected = Unfinished(path, head, utterances).finish(Stub(), [].append)
    whole = path.read_bytes()
    assert Unfinished(path, head, utterances).whole and not Unfinished(path, {"model": "b"}, utterances).results
    six = whole.splitlines(keepends=True)[:7]
    path.write_bytes(SPOILED[how](b"".join(six)))
    stub = Stub()
    assert Unfinished(path, head, utterances).finish(stub, [].append) == expected
    assert path.read_bytes() == whole and stub.utterances in (1, 4, 7)  # whole chunks of three


def test_each_result_is_parsed_once(manifest, tmp_path, monkeypatch):
    """Of the file that is there before, and of what is added to it."""
    monkeypatch.setattr(decoded, "CHUNK", 3)
    utterances, path, head = read_manifest(manifest), tmp_path / UNFINISHED, {"model": "a"}
    Unfinished(path, head, utterances).finish(Stub(), [].append)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:7]))
    parsed, parse = [], decoded._parsed
    monkeypatch.setattr(decoded, "_parsed", lambda line, id: parsed.append(id) or parse(line, id))
    Unfinished(path, head, utterances).finish(Stub(), [].append)
    assert parsed == [u.id for u in utterances]


def test_force_goes_on_too_and_leaves_results_until_the_new_ones_are_there(model, manifest, tmp_path, monkeypatch):
    evaluate(model, manifest, tmp_path)
    before = (tmp_path / "hyp.txt").stat().st_mtime_ns
    interrupted(model, manifest, tmp_path, monkeypatch, at=3, force=True)
    assert (tmp_path / "hyp.txt").stat().st_mtime_ns == before
    with pytest.raises(AsrError, match="holds results already; choose another --out, or --force"):
        evaluate(model, manifest, tmp_path)
    with monkeypatch.context() as patch:
        counting = Counting(patch)
        evaluate(model, manifest, tmp_path, force=True)
    assert counting.utterances == 1


@pytest.mark.parametrize("name", ["hyp.txt", "result.json", UNFINISHED])
def test_ended_while_it_writes_results_it_goes_on(model, manifest, whole, tmp_path, monkeypatch, name):
    """After each of the files, and before the first."""
    real, out = os.replace, tmp_path / "out"

    def stop(*paths):
        if name == UNFINISHED:
            raise KeyboardInterrupt
        real(*paths)
        if Path(paths[1]).name == name:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", stop)
        evaluate(model, manifest, out)
    with monkeypatch.context() as patch:
        counting = Counting(patch)
        found, _ = evaluate(model, manifest, out)
    assert found == whole and counting.utterances == 0
    assert sorted(os.listdir(out)) == ["hyp.txt", "nbest.jsonl", "report.html", "result.json"]
    with pytest.raises(AsrError, match="holds results already"):
        evaluate(model, manifest, out)


def test_audio_that_is_replaced_is_decoded_anew(model, manifest, tmp_path, monkeypatch):
    interrupted(model, manifest, tmp_path, monkeypatch, at=3)
    soundfile.write(manifest.parent / "1.wav", speech(1.01, seed=1), 16000)
    with monkeypatch.context() as patch:
        counting = Counting(patch)
        evaluate(model, manifest, tmp_path)
    assert counting.utterances == 7


def test_two_processes_do_not_share_a_folder(model, manifest, tmp_path):
    with locked(tmp_path, AsrError, "evaluating"), pytest.raises(AsrError, match="another process is evaluating there"):
        evaluate(model, manifest, tmp_path)


def test_utterances_that_cannot_be_read_count_as_nothing_recognised(run, model, manifest, tmp_path):
    lines = manifest.read_text(encoding="utf-8").splitlines()
    (tmp_path / "damaged.wav").write_bytes(b"RIFF but no audio")
    names = ("none.wav", "damaged.wav")
    bad = [json.loads(line) | {"audio": str(tmp_path / name)} for line, name in zip(lines[:2], names, strict=True)]
    good = [json.loads(line) | {"audio": str(manifest.parent / f"{i}.wav")} for i, line in enumerate(lines)][2:]
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*bad, *good]))
    status, out, err = run("evaluate", model, path, "--out", tmp_path / "out")
    assert status == 1 and "CER" in out
    assert f"asr: 1 of 7 utterances have no audio: {tmp_path / 'none.wav'} …\n" in err
    assert f"asr: {path}:1: {tmp_path / 'none.wav'}: no such file (u0)\n" in err
    assert err.endswith("asr: 2 of 7 utterances could not be read, and count as nothing recognised\n")
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert list(result["unreadable"]) == ["u0", "u1"] and result["reference"] == 21 and result["deletions"] >= 6
    assert (tmp_path / "out/hyp.txt").read_text(encoding="utf-8").startswith("u0\nu1\nu2")
    path.write_text("".join(json.dumps(line) + "\n" for line in bad))
    status, out, err = run("evaluate", model, path, "--out", tmp_path / "none")
    assert (status, out) == (1, "") and f"asr: no utterance of {path} can be read; the first: {path}:1: " in err
    assert os.listdir(tmp_path / "none") == []
