"""What several tests share: small random models, a small corpus and a run on it, and a model that has really learned the toy
language."""

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from filelock import FileLock

from asr.cli import main
from asr.corpus.toy import CHARACTERS, prepare_toy
from asr.features.fbank import FeatureConfig
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.folder import save_model
from asr.model.model import ModelConfig, SpeechModel
from asr.model.subsampling import SubsamplingConfig
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.training.config import Config
from tests.miniatures import recorded_speech
from tests.runs import small_run
from tests.sounds import speech

os.environ["LANGUAGE"] = "en"  # literal messages, whatever the locale of who runs the tests
ROOT = Path(__file__).parent.parent
EMBEDDED = ROOT / "asr/pretrained/embedded"


def pytest_collection_finish() -> None:
    """What was imported for thousands of tests is not searched for garbage again and again while they run."""
    gc.freeze()


def small_sizes(**of_encoder) -> dict[str, Any]:
    """Encoder and decoder of a few thousand parameters, for ModelConfig."""
    return {
        "encoder": EncoderConfig(layers=2, width=16, heads=2, feed_forward=32, kernel=5, **of_encoder),
        "decoder": DecoderConfig(layers=2, heads=2, feed_forward=32),
    }


def random_model(
    kind: str = "transformer", subsampling: int = 4, vocabulary: int = 24, ctc: bool = True, seed: int = 0, **of_encoder
):
    """An untrained model of a few thousand parameters, in evaluation mode."""
    torch.manual_seed(seed)
    config = ModelConfig(SubsamplingConfig(subsampling, 4), ctc, **small_sizes(kind=kind, **of_encoder))
    model = SpeechModel(FeatureConfig(), config, vocabulary)
    torch.nn.init.normal_(model.decoder.out.bias, std=0.5)
    return model.eval()


def require_program(name: str, package: str = "") -> None:
    """Skips where a program is missing, except in continuous integration, where it must be there."""
    if shutil.which(name) is None:
        message = f"{name} is not installed (on Debian: apt-get install {package or name})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command in this process: (exit status, stdout, stderr)."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["asr", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as error:
            status = error.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS]))


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder that several tests read once in a run of all, whatever the number of its processes."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, begun = common / f"once-{name}", common / f"once-{name}.begun"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                shutil.rmtree(begun, ignore_errors=True)
                begun.mkdir()
                fill(begun)
                begun.rename(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def toy_corpus(once) -> dict[str, Path]:
    """The toy corpus at its full size: manifests by split."""
    folder = once("toy", prepare_toy)
    return {split: folder / f"{split}.jsonl" for split in ("train", "dev", "test")}


@pytest.fixture(scope="session")
def exported_model(once) -> Callable[[str], Path]:
    """The folder of a model of tests/exports.py, `model`, and its ONNX files, `onnx`."""

    def make(kind: str) -> Path:
        from tests.exports import write_exported

        return once(f"exported-{kind}", lambda folder: write_exported(kind, folder))

    return make


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """The folder of an untrained model that writes the toy language."""
    folder = tmp_path_factory.mktemp("untrained") / "tiny"
    save_model(folder, random_model(), TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS]))
    return folder


@pytest.fixture(scope="session")
def toy_run(toy_corpus, tmp_path_factory) -> Path:
    """A finished run of recipes/toy/base.toml, trained once and kept: no test trains until it has learned."""
    folder = tmp_path_factory.mktemp("run") / "toy"
    shutil.copytree(ROOT / "tests/fixtures/toy", folder)
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    settings["data"] |= {name: [str(toy_corpus[name])] for name in ("train", "dev")}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> dict[str, Path]:
    """A few dozen utterances of the toy language: manifests by split."""
    return prepare_toy(tmp_path_factory.mktemp("small"), n_train=40, n_dev=4, n_test=4)


@pytest.fixture
def config(corpus) -> Config:
    """A run of ten steps over a few batches an epoch, everything random switched on."""
    return small_run(
        corpus,
        "data.curriculum_epochs=0",
        "model.ctc=true",
        "train.ctc_weight=0.3",
        "train.max_steps=10",
        "train.warmup_steps=3",
        "train.log_every=1",
        "train.evaluate_every=4",
        "train.checkpoint_every=5",
        "augment.tempo=0.1",
        "augment.speeds=[0.9, 1.0, 1.1]",
        "augment.frequency_warp=0.1",
        "features.dither=1.0",
        "model.encoder.layers=1",
        "model.encoder.width=32",
        "train.precision=bfloat16",
    )


def imported_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())


@pytest.fixture
def wav(tmp_path):
    """Writes speech as name.wav."""

    def write(name: str, seconds: float = 1.0, rate: int = 16000, channels: int = 1, seed: int = 1):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.tile(speech(seconds, seed, rate)[:, None], (1, channels))
        soundfile.write(path, samples, rate)
        return path

    return write


@pytest.fixture
def copy(tmp_path):
    """A copy of a folder of another toolkit, which the test may change."""

    def make(source: Path) -> Path:
        return Path(shutil.copytree(source, tmp_path / "foreign"))

    return make


@pytest.fixture
def speech_folder(tmp_path) -> Path:
    """What the recipe of the embedded model is given, in miniature; text.txt lies beside it."""
    return recorded_speech(tmp_path)
