"""benchmarks/augmentations.py, in miniature."""

import json
import sys

import numpy as np
import pytest

from asr.errors import AsrError
from asr.training.config import load_config
from tests.conftest import ROOT
from tests.sounds import frequency, sine

sys.path.insert(0, str(ROOT / "benchmarks"))
import augmentations  # noqa: E402


def test_the_rows_are_settings_and_the_columns_exist():
    for row, settings in augmentations.ROWS.items():
        config = load_config(ROOT / "recipes/toy/base.toml", [s.format(noises="noises") for s in settings])
        assert row == "none" or config != load_config(ROOT / "recipes/toy/base.toml")
    assert augmentations.MEANT_FOR.keys() <= augmentations.ROWS.keys()
    assert set(augmentations.MEANT_FOR.values()) <= augmentations.COLUMNS.keys()


def test_what_is_done_to_the_dev_recordings():
    recorded, said = [sine(1, hz=440), sine(1.5, hz=1000)], ["阿", "衣乌"]
    changed = {name: change(recorded, said) for name, change in augmentations.COLUMNS.items()}
    assert changed.pop("as it is") == (recorded, said)
    samples, texts = changed.pop("long")
    assert texts == ["阿衣乌"] and np.array_equal(samples[0], np.concatenate(recorded))
    for samples, texts in changed.values():
        assert texts == said and all(x.dtype == np.float32 and np.isfinite(x).all() for x in samples)
    assert frequency(changed["fast"][0][0]) == pytest.approx(528, abs=1)
    signal = recorded[1].std() ** 2
    for name in ("hiss", "gusts"):
        noise = changed[name][0][1] - recorded[1]
        assert 10 * np.log10(signal / noise.std() ** 2) == pytest.approx(10, abs=0.3)
    assert changed["soft"][0][0].std() == pytest.approx(recorded[0].std() / 10, rel=1e-3)


def test_rows_that_are_finished_are_kept(tmp_path, capsys, monkeypatch):
    size = ["--out", str(tmp_path), "--steps", "2", "--train", "24", "--dev", "4", "--threads", "1"]
    augmentations.main([*size, "--only", "none", "--only", "noise_folder"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| | as it is | fast | soft | thin | hiss | gusts | hall | phone | long |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| none", "| noise_folder"]
    assert lines[3].split(" | ")[6].startswith("**")
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["size"] == {"steps": 2, "train": 24, "dev": 4}
    monkeypatch.setattr(augmentations, "train", None)  # nothing is left to train
    augmentations.main([*size, "--only", "none"])
    assert capsys.readouterr().out.splitlines() == lines
    with pytest.raises(AsrError, match="results.json: was measured with .*'steps': 2.*; choose another --out"):
        augmentations.main([*size, "--steps", "3"])
