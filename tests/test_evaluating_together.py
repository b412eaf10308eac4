"""`asr evaluate` by several processes, one of which is killed."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.corpus.toy import CHARACTERS
from asr.errors import AsrError
from asr.evaluation import decoded
from asr.evaluation.decoded import UNFINISHED, Result, Unfinished, numbered
from tests import forked
from tests.sounds import speech

N, CHUNK = 9, 2
COMMAND = f"import asr.evaluation.decoded as d; d.CHUNK = {CHUNK}; from asr.cli import main; main()"
FILES = ("hyp.txt", "nbest.jsonl")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("some")
    utterances = []
    for i in range(N):
        path = folder / f"{i}.wav"
        soundfile.write(path, speech(1 + i / 10, seed=i), 16000)
        utterances.append(Utterance(f"u{i}", path, 1 + i / 10, "".join(CHARACTERS[i : i + 3])))
    utterances.append(Utterance("gone", folder / "gone.wav", 1.0, "阿衣"))
    write_manifest(folder / "some.jsonl", utterances)
    return folder / "some.jsonl"


def start(model: Path, manifest: Path, out: Path, rank: int, processes: int, port: int) -> forked.Popen:
    """One of some processes, as a launcher starts them."""
    launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    environment = os.environ | {name: str(value) for name, value in launched.items()} | {"MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, "-c", COMMAND, "evaluate", str(model), str(manifest), "--out", str(out), "--beam", "1"]
    return forked.Popen(command, env=environment, stdout=forked.PIPE, stderr=forked.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def results(out: Path) -> list[str]:
    return [(out / name).read_text(encoding="utf-8") for name in FILES]


@pytest.fixture(scope="module")
def alone(model, manifest, tmp_path_factory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("alone")
    process = start(model, manifest, out, 0, 1, 0)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 1 and said.endswith(
        "asr: 1 of 10 utterances could not be read, and count as nothing recognised\n"
    )
    return out, printed


@pytest.mark.slow
def test_two_processes_give_what_one_gives(model, manifest, alone, tmp_path):
    port = free_port()
    both = [start(model, manifest, tmp_path, rank, 2, port) for rank in range(2)]
    (printed, said), (nothing, silence) = (process.communicate(timeout=120) for process in both)
    assert [process.returncode for process in both] == [1, 1]
    assert printed == alone[1] and (nothing, silence) == ("", "")
    assert said.count("could not be read") == 1 and results(tmp_path) == results(alone[0])
    assert sorted(os.listdir(tmp_path)) == ["hyp.txt", "nbest.jsonl", "report.html", "result.json"]


@pytest.mark.slow
def test_what_a_killed_process_leaves_is_taken_over(model, manifest, alone, tmp_path):
    port = free_port()
    first, second = (start(model, manifest, tmp_path, rank, 2, port) for rank in range(2))
    until, its = time.monotonic() + 120, numbered(tmp_path / UNFINISHED, 1)
    while not (its.exists() and its.stat().st_size) and first.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    second.send_signal(signal.SIGKILL)
    first.send_signal(signal.SIGKILL)  # as torchrun does then
    for process in (first, second):
        process.communicate(timeout=60)
    left = [file for file in (its, tmp_path / UNFINISHED) if file.exists()]
    again = start(model, manifest, tmp_path, 0, 1, 0)
    printed, _ = again.communicate(timeout=120)
    assert left and printed == alone[1] and results(tmp_path) == results(alone[0])
    assert not list(tmp_path.glob("decoded.part*"))


class Taking:
    """In the place of Shares: a process that takes some items, and meets nobody."""

    def __init__(self, rank: int, *items: int):
        self.rank, self.processes, self.taken = rank, 3, items

    def items(self, n: int):
        return iter(self.taken)

    def meet(self, where: str) -> None: ...


class Numbers:
    """In the place of a recognizer: writes how many samples there were."""

    def __init__(self):
        self.heard: list[int] = []

    def recognize(self, heard):
        self.heard += map(len, heard)
        score = SimpleNamespace(score=-1.5, scores={})
        return [[SimpleNamespace(text=str(len(samples)), hypothesis=score)] for samples in heard]


def test_chunks_of_several_files_are_put_in_order(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(decoded, "CHUNK", CHUNK)
    utterances, head = read_manifest(manifest), {"model": "a"}
    path = tmp_path / UNFINISHED
    for rank, items in ((1, (3, 0)), (2, (4,))):
        with pytest.raises(AsrError, match="another process's results are not there; the same command goes on"):
            Unfinished(path, head, utterances).finish(Numbers(), [].append, Taking(rank, *items))
    assert json.loads(numbered(path, 1).read_text().splitlines()[1])["id"] == "u6"
    said, rest = [], Numbers()
    found = Unfinished(path, head, utterances).finish(rest, said.append, Taking(0, 0, 1, 2, 3, 4))
    assert rest.heard == [round(16000 * (1 + i / 10)) for i in (2, 3, 4, 5)]
    assert said[0] == f"{path}: 6 of 10 utterances are decoded already"
    texts = [str(round(16000 * (1 + i / 10))) for i in range(N)]
    assert (
        [result.nbest[0].text for result in found] == [*texts, ""] and isinstance(found[-1], Result) and found[-1].error
    )
    Unfinished(path, head, utterances).remove()
    assert os.listdir(tmp_path) == []
