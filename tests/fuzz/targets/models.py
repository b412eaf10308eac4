"""What the program itself wrote: model folders, language models, recipes, runs; the files may have been changed or cut since."""

import functools
import tempfile
from pathlib import Path

from tests.fuzz.engine import ROOT
from tests.fuzz.keeping import read_folder
from tests.fuzz.mutate import Files
from tests.fuzz.mutate_saved import mutate_saved
from tests.fuzz.target import Target

CORPUS = "exp/fuzzed-corpus"
SPECIAL = ("<blank>", "<unk>", "<sos>", "<eos>")


def made(make) -> list[Files]:
    """The files that a function writes into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        files = read_folder(Path(folder))
    return [{name: content for name, content in files.items() if not name.endswith(".lock")}]


def _a_model(folder: Path, dtype: str = "float32") -> None:
    from asr.model.folder import save_model
    from asr.text.tokenizer import TokenTable
    from tests.conftest import CHARACTERS, random_model

    save_model(
        folder, random_model(), TokenTable([*SPECIAL, *CHARACTERS]), {"step": "3"}, card="# a card\n", dtype=dtype
    )
    (folder / "decode.json").write_text('{"beam": 2, "length_power": 0.5, "rule": "wenet", "never_written": [5]}\n')


def models() -> list[Files]:
    return [*made(_a_model), *made(functools.partial(_a_model, dtype="int8"))]


def decode_with(folder: Path) -> None:
    """Loads a model as `asr transcribe` does, and decodes half a second with it."""
    import torch

    from asr.config_values import from_dict
    from asr.decoding.decode_config import DecodeConfig
    from asr.model.folder import load_model, read_decode
    from asr.recognition.recognizer import Recognizer

    loaded = load_model(folder)
    config = from_dict(DecodeConfig, read_decode(folder), "decode")
    generator = torch.Generator().manual_seed(0)
    Recognizer(loaded.model, loaded.tokenizer, config).recognize([torch.randn(8000, generator=generator).numpy()])


def _a_language_model(folder: Path) -> None:
    from asr.model.decoder import DecoderConfig
    from asr.model.language_model import LanguageModel, LanguageModelConfig, save_language_model
    from asr.text.tokenizer import TokenTable
    from tests.conftest import CHARACTERS

    table = TokenTable([*SPECIAL, *CHARACTERS])
    config = LanguageModelConfig(16, DecoderConfig(layers=1, heads=2, feed_forward=32, tied=True))
    save_language_model(folder, LanguageModel(config, len(table)), table, {})


def read_a_language_model(folder: Path) -> None:
    from asr.model.language_model import load_language_model

    load_language_model(folder)


ARPA = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-99 <s> -0.5
-0.8 </s>
-1.2 <unk>
-0.7 今 -0.3
-0.6 天 -0.2

\\2-grams:
-0.3 <s> 今
-0.2 今 天
-0.4 天 </s>

\\end\\
"""
SYMBOLS = ["<blank>", "<unk>", "<sos>", "<eos>", "今", "天"]


def ngrams() -> list[Files]:
    import gzip

    def packed(folder: Path) -> None:
        from asr.decoding.ngram_file import pack, read_ngrams

        (folder / "lm.arpa").write_text(ARPA, encoding="utf-8")
        pack(read_ngrams(folder / "lm.arpa", SYMBOLS, 3), folder / "lm.safetensors", SYMBOLS)
        (folder / "lm.arpa").unlink()

    return [{"lm.arpa": ARPA.encode()}, {"lm.arpa.gz": gzip.compress(ARPA.encode(), mtime=0)}, *made(packed)]


def read_an_ngram(folder: Path) -> None:
    from asr.decoding.ngram import NgramScorer

    NgramScorer(next(folder.iterdir(), folder / "none"), SYMBOLS, 3).start(1)


def recipes() -> list[Files]:
    paths = sorted((ROOT / "recipes").rglob("*.toml"))
    return [{"recipe.toml": path.read_bytes()} for path in paths]


def read_a_recipe(folder: Path) -> None:
    from asr.training.config import load_config

    load_config(folder / "recipe.toml").to_json()


def _a_run(folder: Path) -> None:
    """The files of a run of two steps."""
    from asr.training.loop import train

    train(_config(), folder)
    (folder / "quarantine.jsonl").write_text('{"step": 1, "id": "train-0001", "reason": "nan"}\n')


@functools.cache
def a_run() -> list[Files]:
    return made(_a_run)


@functools.cache
def _config():
    """Its corpus lies where any worker finds it again: a state that was kept names it."""
    from asr.corpus.toy import prepare_toy
    from tests.runs import small_run

    prepare_toy(ROOT / CORPUS, n_train=12, n_dev=2, n_test=2)
    return small_run(
        {"train": f"{CORPUS}/train.jsonl", "dev": f"{CORPUS}/dev.jsonl"},
        *("data.curriculum_epochs=0", "train.max_steps=2", "train.log_every=1", "train.evaluate_every=1"),
        *("train.checkpoint_every=1", "train.health_every=1", "train.warmup_steps=1", "model.subsampling.channels=4"),
        *("model.encoder.layers=1", "model.encoder.width=16", "model.encoder.heads=2", "model.encoder.feed_forward=32"),
        *("model.decoder.layers=1", "model.decoder.heads=2", "model.decoder.feed_forward=32"),
    )


def look_at_a_run(folder: Path) -> None:
    """What reads a run that is there: the report, the comparison with itself, and training that would go on."""
    from asr.training.history import read_history
    from asr.training.run_comparison import compare, verify, write_reference
    from asr.training.run_log import RunLog
    from asr.training.run_report import write_run_report
    from asr.training.start import read_utterances, resumable_state

    history = read_history(folder)
    compare(history, history)
    write_reference(history, folder)
    verify(history, folder)
    write_run_report(folder)
    read_utterances(_config())
    resumable_state(folder, _config(), False)
    RunLog(folder, 2).close()


def go_on_training(folder: Path) -> None:
    """The run goes on, which is over after its second step: all of the state is put where it belongs."""
    from asr.training.loop import train

    train(_config(), folder)


TARGETS = {
    "model-folder": Target(decode_with, models, mutate_saved, in_tests=40),
    "language-model": Target(read_a_language_model, lambda: made(_a_language_model), mutate_saved, in_tests=60),
    "n-grams": Target(read_an_ngram, ngrams, mutate_saved, in_tests=120),
    "recipe": Target(read_a_recipe, recipes, in_tests=150),
    "run": Target(look_at_a_run, a_run, mutate_saved, in_tests=12),
    "run-goes-on": Target(go_on_training, a_run, mutate_saved, in_tests=12),
}
