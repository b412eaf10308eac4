"""asr train --dry-run: what a run would be, without one."""

import json
import re

import pytest

from asr.cli.dry_run import dry_run_lines
from asr.corpus.toy import CHARACTERS, prepare_toy
from asr.errors import AsrError, AudioError
from asr.training.config import load_config
from asr.training.dry_run import dry_run
from asr.training.loop import train
from tests.conftest import ROOT
from tests.runs import QUIET


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return prepare_toy(tmp_path_factory.mktemp("small"), n_train=40, n_dev=4, n_test=1)


def settings(corpus, *more):
    names = [f'data.train=["{corpus["train"]}"]', f'data.dev=["{corpus["dev"]}"]', "data.batch_seconds=12"]
    return [*names, "model.encoder.layers=1", "model.encoder.width=32", *more]


def test_what_a_dry_run_says(corpus, run, tmp_path):
    arguments = [f"--set={s}" for s in settings(corpus, "data.max_seconds=1.5", "train.max_steps=600")]
    status, out, err = run("train", ROOT / "recipes/toy/base.toml", "--dry-run", *arguments)
    assert status == 0, err
    lines = out.splitlines()
    assert re.fullmatch(r"train: \d+ utterances, 0.0\d h; \d+ are too short or too long", lines[0])
    assert lines[1] == "tokens: 24; no unknown character"
    assert lines[2] == f"dev: {corpus['dev']}, 4 utterances; no unknown character"
    assert re.fullmatch(r"model: 0\.\d\d M parameters on (cpu|cuda)", lines[3])
    shapes = r"largest batch: samples \d+ × \d+, features \d+ × \d+ × 80, memory \d+ × \d+ × 32, logits \d+ × \d+ × 24"
    assert re.fullmatch(shapes, lines[4])
    assert re.match(r"memory: \d+\.\d GB at its highest", lines[5])
    assert re.match(r"time: \d+\.\d\d s a batch, .* 600 steps of 1 are \d+\.\d epochs and about \d+\.\d h", lines[6])
    assert re.match(r"one batch: (learned by heart|on its way), 8 utterances, accuracy 0\.\d\d to \d\.\d\d", lines[7])
    assert len(lines) == 8 and list(tmp_path.iterdir()) == []


def test_characters_the_table_lacks_are_named(corpus, tmp_path):
    known = "".join(CHARACTERS[:-2])
    (tmp_path / "tokens.txt").write_text(
        "\n".join(["<blank>", "<unk>", "<sos>", "<eos>", *known]) + "\n", encoding="utf-8"
    )
    config = load_config(ROOT / "recipes/toy/base.toml", settings(corpus, f'data.tokens="{tmp_path / "tokens.txt"}"'))
    lines = list(dry_run_lines(dry_run(config)))
    assert re.fullmatch(r"tokens: 22; \d+ characters are unknown, 2 different ones: \w \w", lines[1])


def test_what_stops_a_run_stops_a_dry_run(corpus, tmp_path):
    """Both are prepared by the same code."""
    silent = tmp_path / "silent.jsonl"
    row = json.loads(corpus["dev"].read_text().splitlines()[0])
    silent.write_text(json.dumps(row | {"text": "", "audio": str(corpus["dev"].parent / row["audio"])}) + "\n")
    for setting, error in (
        (f'data.dev=["{silent}"]', "text"),
        ("data.min_seconds=15", "no utterance is between data.min_seconds 15 and"),
    ):
        config = load_config(ROOT / "recipes/toy/base.toml", settings(corpus, setting))
        said = []
        for start in (dry_run, lambda config: train(config, tmp_path / "run", display=QUIET)):
            with pytest.raises(AsrError, match=error) as raised:
                start(config)
            said.append(str(raised.value))
        assert said[0] == said[1]


def test_audio_that_is_not_there_stops_a_dry_run_too(corpus, tmp_path):
    lost = tmp_path / "lost.jsonl"
    lost.write_text('{"id": "a", "audio": "a.wav", "duration": 1.0, "text": "阿"}\n', encoding="utf-8")
    with pytest.raises(AudioError, match="a.wav: no such file"):
        dry_run(load_config(ROOT / "recipes/toy/base.toml", settings(corpus, f'data.train=["{lost}"]')))


def test_audio_that_cannot_be_read_stops_it_by_name(tmp_path):
    (tmp_path / "a.wav").write_text("no audio")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": "a", "audio": "a.wav", "duration": 1.0, "text": "阿"}\n', encoding="utf-8")
    config = load_config(ROOT / "recipes/toy/base.toml", [f'data.train=["{bad}"]', f'data.dev=["{bad}"]'])
    with pytest.raises(AudioError, match="a.wav"):
        dry_run(config)


def test_a_run_needs_a_folder(run):
    status, _, err = run("train", ROOT / "recipes/toy/base.toml")
    assert status == 2 and "a run needs a folder" in err
