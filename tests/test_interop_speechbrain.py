"""What is particular to SpeechBrain's recipes: computed settings, and a search among the objects that they build."""

import shutil
from pathlib import Path

import pytest

from asr.interop.importing import IMPORTERS
from tests.test_interop import FOLDERS
from tests.test_interop_settings import same

SEARCH = "using_eos_threshold: False\n    length_normalization: True\n    scorer: !ref <scorer>"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (SEARCH, {"beam": 5, "length_power": 1.0, "ctc_weight": 0.6667, "eos_threshold": 0.0, "temperature": 1.0}),
        (
            "temperature: 1.15\n    length_normalization: False",
            {"beam": 5, "length_power": 0.0, "ctc_weight": 0.6667, "eos_threshold": 1.5, "temperature": 1.15},
        ),
        (
            "ctc_weight: 0.2\n    using_eos_threshold: False\n    temperature: warm",
            {"beam": 5, "length_power": 1.0, "ctc_weight": 0.25, "eos_threshold": 0.0, "temperature": 1.0},
        ),
    ],
)
def test_the_search_of_a_speechbrain_recipe(new, expected, tmp_path):
    folder = Path(shutil.copytree(FOLDERS["speechbrain-transformer"], tmp_path / "foreign"))
    path = folder / "hyperparams.yaml"
    assert SEARCH in path.read_text()
    path.write_text(path.read_text().replace(SEARCH, new))
    assert IMPORTERS["speechbrain"](folder).decode == {"rule": "speechbrain"} | expected


def test_computed_settings_of_a_speechbrain_recipe(tmp_path):
    folder = Path(shutil.copytree(FOLDERS["speechbrain-transformer"], tmp_path / "foreign"))
    path = folder / "hyperparams.yaml"
    changes = (
        ("d_ffn: 64", "d_ffn: !ref <d_model> * 2"),
        ("input_size: 320", "input_size: !ref <n_mels> // 4 * (15 + 1)"),
    )
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    same(folder, "speechbrain-transformer")
