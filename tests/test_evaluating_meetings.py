"""`asr evaluate --speakers`: whole meetings of corpora as they are laid out, transcribed and scored by who said what."""

import json

import pytest

from asr.scoring.turns import read_turns
from asr.transcript import Turn
from asr.transcription import finding_speakers
from tests.miniatures import MINIATURES


class KnownTurns:
    """In the place of the networks: who speaks when is known."""

    def __init__(self, turns):
        self.turns = tuple(Turn(turn.start, turn.end, f"S{turn.speaker}") for turn in turns)

    def diarizer(self):
        return self

    def add(self, samples):
        pass

    def settings(self):
        return {}

    def finish(self):
        return self.turns


@pytest.fixture
def prepared(run, tmp_path):
    """The manifest of a corpus's test set, prepared from its own layout."""

    def prepare(corpus: str, manifest: str):
        MINIATURES[corpus].write(tmp_path / corpus)
        assert run("corpus", "prepare", corpus, "--from", tmp_path / corpus, "--out", tmp_path / "data")[0] == 0
        return tmp_path / "data" / manifest

    return prepare


@pytest.mark.parametrize(("corpus", "manifest"), [("aishell4", "test.jsonl"), ("alimeeting", "test_far.jsonl")])
def test_meetings_are_transcribed_whole_and_scored(run, model, tmp_path, monkeypatch, prepared, corpus, manifest):
    path, out = prepared(corpus, manifest), tmp_path / "out"
    ((name, meeting),) = read_turns(path).items()
    monkeypatch.setattr(finding_speakers, "finder_of", lambda *_: KnownTurns(meeting.turns))
    status, printed, err = run("evaluate", model, path, "--speakers", "--out", out, "--by", "recording")
    assert status == 0, err
    lines = printed.splitlines()
    assert lines[0].startswith("DER 0.00 % [") and lines[1].endswith("with a collar of 0.25 s")
    assert lines[-1].startswith(f"{name}: DER 0.00 %") and any(line.startswith("cpCER ") for line in lines)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["der"] == 0 and set(result["recordings"]) == {name} and result["settings"]["speakers"] == "1-any"
    assert [file.name for file in (out / "transcripts").glob("*.json")] == [f"{name}.json"]
    status, _, err = run("evaluate", model, path, "--speakers", "2", "--out", out)
    assert status == 1 and "holds results already" in err


def test_what_fails_counts_as_missed_and_what_was_done_is_kept(run, model, tmp_path, monkeypatch, prepared):
    path = prepared("aishell4", "test.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    more = [row | {"id": f"x{row['id']}", "audio": str(tmp_path / "gone.wav")} for row in rows]
    for row in rows:
        row["audio"] = str((path.parent / row["audio"]).resolve())
    both = tmp_path / "both.jsonl"
    both.write_text("".join(json.dumps(row) + "\n" for row in rows + more), encoding="utf-8")
    monkeypatch.setattr(finding_speakers, "finder_of", lambda *_: KnownTurns(read_turns(path).popitem()[1].turns))
    status, printed, err = run("evaluate", model, both, "--speakers", "--out", tmp_path / "out")
    assert status == 1 and "1 recordings could not be transcribed" in err
    assert printed.startswith("DER 50.00 % [ 50.00 missed")
    assert run("evaluate", model, both, "--speakers", "--out", tmp_path / "out", "--force")[0] == 1


def test_what_cannot_be_asked(run, model, tmp_path, prepared):
    path = prepared("aishell4", "test.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for wrong, said in (({"speaker": ""}, "name no speaker"), ({"speaker": None}, "name no speaker")):
        broken = tmp_path / "broken.jsonl"
        broken.write_text("".join(json.dumps(row | wrong) + "\n" for row in rows), encoding="utf-8")
        status, _, err = run("evaluate", model, broken, "--speakers")
        assert status == 1 and said in err
    for option in (["--nbest", "2"], ["--swap-audio"], ["--by", "speaker"], ["--speakers", "0"]):
        assert run("evaluate", model, path, "--speakers", *option)[0] == 2
