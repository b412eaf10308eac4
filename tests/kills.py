"""Kills commands at random moments, runs them again, and compares what is there then with an undisturbed run, byte for byte.

    python -m tests.kills [--seed 1] [--only evaluate …] [--times 10]

Every trial is a process forked from this one, which has imported all that takes time. It is killed after a random time, or
before a random one of the steps at which it changes files; sometimes the second run is killed, too. Times are left out of the
comparison: `wall` in log.jsonl and in state.pt.
"""

import argparse
import contextlib
import hashlib
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch

from asr.cli import main
from asr.corpus.manifest import Utterance, write_manifest
from asr.corpus.toy import CHARACTERS, prepare_toy
from asr.evaluation import decoded
from asr.folders import put_back
from asr.model.folder import save_model
from asr.text.tokenizer import TokenTable
from tests.conftest import ROOT, random_model
from tests.sounds import speech

CHANGES = {
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.chmod",
    "os.truncate",
    "shutil.rmtree",
}
"""Events at which files may change, as Python tells them to audit hooks."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
AGAIN = 0.3
"""Share of the trials whose second run is killed, too."""
SAID = ("holds results already", "is there already")
"""What a command says that had done its work before it was killed."""


@dataclass(frozen=True)
class Job:
    """A command, run in a folder that holds what `prepare` puts there."""

    command: Sequence[str]
    """Its arguments; paths are relative to the folder."""
    prepare: Callable[[Path], None]
    """Fills the folder."""
    out: str
    """What it writes, a file or a folder."""
    times: int
    """Trials of the full run."""
    signals: Sequence[int] = (signal.SIGKILL,)
    """What ends it, in turn."""
    replaced: bool = False
    """Whether the output must be the old one or the new one, whole, right after each kill."""


@dataclass
class Outcome:
    """What became of a run."""

    status: int
    """As a shell has it, negative for a signal."""
    text: str
    """stdout and stderr."""
    seconds: float
    changes: int
    """Steps at which files were changed."""


def run(job: Job, folder: Path, number: int = 0, after: float | None = None, before: int | None = None) -> Outcome:
    """Runs the command in a process of its own, and sends it a signal after some seconds, or before its n-th change."""
    log, count, started = folder / ".log", folder / ".changes", time.monotonic()
    for path in (log, count):  # it may be killed before it has made them
        path.write_bytes(b"")
    child = os.fork()
    if not child:
        be_the_command(job, folder, log, count, number, before)
    status = None
    while status is None:
        ended, state = os.waitpid(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(state)
        elif after is not None and time.monotonic() - started >= after:
            os.kill(child, number)
            after = None
        else:
            time.sleep(0.001)
    return Outcome(status, log.read_text(encoding="utf-8"), time.monotonic() - started, count.stat().st_size)


def be_the_command(job: Job, folder: Path, log: Path, count: Path, number: int, before: int | None) -> None:
    status = 70
    try:
        os.chdir(folder)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        counter = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", 0, closefd=False), encoding="utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", 0, closefd=False), encoding="utf-8", write_through=True)
        sys.argv = ["asr", *job.command]
        done = 0

        def look(event: str, arguments: tuple) -> None:
            nonlocal done
            if event not in CHANGES or (event == "open" and not (arguments[2] or 0) & WRITING):
                return
            done += 1
            if done == before:
                os.kill(os.getpid(), number)
            os.write(counter, b".")

        sys.addaudithook(look)
        main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):  # its disk may be full
            log.with_name(".modules").write_text("\n".join(sys.modules))
        os._exit(status)


def import_what_it_takes(job: Job, folder: Path) -> None:
    """Imports what the command does, so that the processes forked from this one need not."""
    run(job, folder)
    for name in (folder / ".modules").read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def contents(path: Path) -> dict[str, str]:
    """Every file below a path → a hash of what is in it, times aside."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return {str(file.relative_to(path)): _digest(file) for file in files if file.exists()}


def _digest(path: Path) -> str:
    data = path.read_bytes()
    if path.name == "log.jsonl":
        lines = [json.loads(line) for line in data.splitlines()]
        data = json.dumps([{k: v for k, v in line.items() if k != "wall"} for line in lines]).encode()
    elif path.name == "state.pt":
        state = torch.load(io.BytesIO(data), weights_only=True)
        state["progress"]["wall_seconds"] = 0
        data = "".join(_described(state)).encode()
    return hashlib.sha256(data).hexdigest()[:16]


def _described(value) -> list[str]:
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), str(tuple(value.shape)), hashlib.sha256(value.numpy().tobytes()).hexdigest()]
    if isinstance(value, dict):
        return [part for key in sorted(value, key=str) for part in (str(key), *_described(value[key]))]
    if isinstance(value, list | tuple):
        return [part for each in value for part in _described(each)]
    return [repr(value)]


def trials(job: Job, times: int, seed: int, work: Path) -> list[str]:
    """What went wrong in so many trials, a line each; empty where every one came to the undisturbed result."""
    chance, wrong = random.Random(seed), []
    folder = work / "trial"
    fresh(job, folder)
    import_what_it_takes(job, folder)
    fresh(job, folder)
    old, whole = contents(folder / job.out), run(job, folder)
    expected, beside = contents(folder / job.out), _names(folder)
    if whole.status:
        return [f"undisturbed: status {whole.status}: {whole.text}"]
    for trial in range(times):
        fresh(job, folder)
        story = []
        number = job.signals[trial % len(job.signals)]
        for _ in range(1 + (chance.random() < AGAIN)):
            at = (
                {"before": chance.randint(1, whole.changes)}
                if trial % 2
                else {"after": whole.seconds * chance.random()}
            )
            story.append(f"{at} {run(job, folder, number, **at).status}")
            put_back(folder / job.out)
            if job.replaced and contents(folder / job.out) not in (old, expected):
                wrong.append(f"trial {trial} {story}: neither the old one nor the new one is there")
        last = run(job, folder)
        found = contents(folder / job.out)
        if last.status not in (0, 1) or (last.status == 1 and not any(text in last.text for text in SAID)):
            wrong.append(f"trial {trial} {story}: status {last.status}: {last.text}")
        elif found != expected:
            differing = {name for name, _ in found.items() ^ expected.items()}
            wrong.append(f"trial {trial} {story}: differs in {sorted(differing)}")
        elif _names(folder) != beside:
            wrong.append(f"trial {trial} {story}: left {_names(folder)} beside it")
    return wrong


def _names(folder: Path) -> list[str]:
    """What is in a folder, but for what this program has put there."""
    return sorted(set(os.listdir(folder)) - {".log", ".changes", ".modules"})


def fresh(job: Job, folder: Path) -> None:
    """The folder as it was made the first time: what it holds is copied, times and all."""
    template = folder.with_name("template")
    if not template.exists():
        template.mkdir(parents=True)
        job.prepare(template)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)


def _small_model(folder: Path) -> None:
    save_model(folder, random_model(), TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS]))


def _for_evaluate(folder: Path) -> None:
    _small_model(folder / "model")
    for i in range(7):
        soundfile.write(folder / f"{i}.wav", speech(0.6, seed=i), 16000)
    texts = ["".join(CHARACTERS[i : i + 3]) for i in range(7)]
    utterances = [Utterance(f"u{i}", folder / f"{i}.wav", 0.6, text) for i, text in enumerate(texts)]
    write_manifest(folder / "test.jsonl", utterances)


def _for_corpus(folder: Path) -> None:
    for i in range(20):
        soundfile.write(folder / f"{i}.flac", speech(0.3, seed=i), 16000)
    rows = "".join(f"{i}.flac\t今天{i}\n" for i in range(20))
    (folder / "table.tsv").write_text("audio\ttext\n" + rows, encoding="utf-8")


def _for_model(folder: Path) -> None:
    _small_model(folder / "model")
    (folder / "model/eval").mkdir()
    (folder / "model/eval/hyp.txt").write_text("u1 今天\n", encoding="utf-8")


def prepare_for_training(folder: Path) -> None:
    prepare_toy(folder, n_train=8, n_dev=2, n_test=1)


SETTINGS = (
    'data.train=["train.jsonl"] data.dev=["dev.jsonl"] data.batch_seconds=6 data.curriculum_epochs=0 model.encoder.layers=1'
    " model.encoder.width=32 model.encoder.heads=2 model.encoder.feed_forward=32 model.decoder.layers=1"
    " model.decoder.feed_forward=32 decode.beam=1 train.max_steps=8 train.warmup_steps=3 train.log_every=1"
    " train.evaluate_every=4 train.checkpoint_every=3 train.health_every=0"
)
TRAIN = ["train", str(ROOT / "recipes/toy/base.toml"), "--out", "run", *(f"--set={one}" for one in SETTINGS.split())]
CHECKPOINT = str(ROOT / "tests/fixtures/interop/wenet-transformer")
IMPORT = ["model", "import", "wenet", CHECKPOINT, "--out", "model", "--force"]
JOBS = {
    "evaluate": Job(["evaluate", "model", "test.jsonl", "--out", "out", "--nbest=2"], _for_evaluate, "out", 100),
    "corpus import": Job(["corpus", "import", "table.tsv", "--out", "out.jsonl"], _for_corpus, "out.jsonl", 50),
    "model import": Job(IMPORT, _for_model, "model", 50, replaced=True),
    "train": Job(
        TRAIN, prepare_for_training, "run", 100, (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL)
    ),
}


def check(names: Sequence[str], times: int, seed: int) -> int:
    """Prints a line for each job and each trial that went wrong; returns how many did. `times`: 0 for each job's own."""
    torch.set_num_threads(1)
    decoded.CHUNK = 3
    failed = 0
    for name in names:
        job, started = JOBS[name], time.monotonic()
        with tempfile.TemporaryDirectory(prefix="asr-kills-") as work:
            wrong = trials(job, times or job.times, seed, Path(work))
        print(
            f"{name}: {times or job.times} trials, {len(wrong)} wrong, {time.monotonic() - started:.0f} s", flush=True
        )
        print("".join(f"  {line}\n" for line in wrong), end="", flush=True)
        failed += len(wrong)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=JOBS, action="append")
    parser.add_argument("--times", type=int, default=0, help="Trials of each command; by default 100, 50, 50 and 100.")
    given = parser.parse_args()
    sys.exit(1 if check(given.only or list(JOBS), given.times, given.seed) else 0)
