import json
import shutil
import sys
from contextlib import nullcontext
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from asr.catalogue.exporting import describe, export
from asr.catalogue.finding import find_model
from asr.errors import CheckpointError, UsageError
from asr.features.fbank import FeatureConfig
from asr.interop.importing import import_model
from asr.model.companions import own_language_model
from asr.model.folder import load_model, read_config, read_header, save_model
from asr.model.golden import golden_answers
from asr.model.lineage import came_from, lineage
from asr.model.model import SpeechModel
from asr.model.storage import checksum, restored, stored
from asr.model.subsampling import ConvolutionBlock, SubsamplingConfig
from asr.text.tokenizer import TokenTable
from tests import forked
from tests.conftest import EMBEDDED, random_model
from tests.killing import files_end_at
from tests.test_interop import FIXTURES


@pytest.fixture
def folder(tmp_path, tokenizer):
    save_model(tmp_path / "model", random_model("conformer"), tokenizer.table, {"step": "7"}, card="# A card\n")
    return tmp_path / "model"


def test_a_folder_rebuilds_the_model_with_nothing_else(folder, tokenizer):
    original, loaded = random_model("conformer"), load_model(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors", "tokens.txt"]
    assert loaded.tokenizer.table.tokens == tokenizer.table.tokens
    assert asdict(loaded.model.config) == asdict(original.config) and not loaded.model.training
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name])
    assert loaded.metadata["step"] == "7" and loaded.name == "model"


@pytest.mark.parametrize(("dtype", "share"), [("float32", 1.0), ("float16", 0.65), ("int8", 0.5)])
def test_weights_in_fewer_bits_are_smaller_and_nearly_the_same(folder, tmp_path, dtype, share):
    size = export(folder, tmp_path / "small", dtype=dtype)
    assert size <= 1.05 * share * (folder / "model.safetensors").stat().st_size
    loaded = load_model(tmp_path / "small")
    full, small = load_model(folder).model.state_dict(), loaded.model.state_dict()
    assert all(small[n].dtype == torch.float32 and torch.allclose(full[n], small[n], atol=1e-2) for n in full)
    assert loaded.metadata["dtype"] == dtype
    export(tmp_path / "small", tmp_path / "again", dtype=dtype)  # what was rounded once stays as it is
    again = load_model(tmp_path / "again").model.state_dict()
    assert all(torch.allclose(small[n], again[n], rtol=1e-5) for n in small)


def test_int8_weights_by_hand():
    tensors = {"bias": torch.tensor([0.3, -7.0]), "weight": torch.tensor([[12.7, -6.33, 0.04], [0.0, 0.0, 0.0]])}
    written = stored(tensors, "int8")
    assert written["weight"].dtype == torch.int8 and written["weight"].tolist() == [[127, -63, 0], [0, 0, 0]]
    assert written["weight.scale"].tolist() == pytest.approx([0.1, 0.0])
    back = restored(written)
    assert back.keys() == tensors.keys() and torch.equal(back["bias"], tensors["bias"])
    assert torch.allclose(back["weight"], torch.tensor([[12.7, -6.3, 0.0], [0.0, 0.0, 0.0]]))
    convolution = torch.randn(3, 4, 5)
    assert (
        restored(stored({"c": convolution}, "int8"))["c"] - convolution
    ).abs().max() <= convolution.abs().max() / 254


@pytest.mark.parametrize(
    ("scale", "found"), [(None, "none"), (torch.ones(5), r"\(5,\)")], ids=["without", "of another length"]
)
def test_int8_weights_whose_scales_do_not_fit_are_refused(folder, tmp_path, scale, found):
    export(folder, tmp_path / "small", dtype="int8")
    path = tmp_path / "small/model.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    del tensors["decoder.embedding.weight.scale"]
    save_file(tensors | ({} if scale is None else {"decoder.embedding.weight.scale": scale}), path, header)
    with pytest.raises(CheckpointError, match=rf"weight.scale should have the shape \(24,\), has {found}"):
        load_model(tmp_path / "small")


def test_an_unknown_dtype_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="dtype must be one of float32, float16, int8, is 'int4'"):
        export(folder, tmp_path / "small", dtype="int4")
    assert not (tmp_path / "small").exists()


def test_an_exported_model_is_decoded_as_before(folder, tmp_path):
    names = ("decode.json", "lm.safetensors")
    for name in names:
        (folder / name).write_text(name)
    export(folder, tmp_path / "half")
    assert [(tmp_path / "half" / name).read_text() for name in names] == list(names)
    (folder / "lm.safetensors").unlink()
    export(folder, tmp_path / "half", force=True)
    assert not (tmp_path / "half/lm.safetensors").exists()


def test_a_table_of_another_size_or_order_is_refused(folder, tokenizer):
    TokenTable([*tokenizer.table.tokens, "另"]).save(folder / "tokens.txt")
    with pytest.raises(CheckpointError, match=r"tokens.txt \(25 tokens, .*is not the table that .* \(24 tokens"):
        load_model(folder)
    tokens = list(tokenizer.table.tokens)
    tokens[4], tokens[5] = tokens[5], tokens[4]
    TokenTable(tokens).save(folder / "tokens.txt")
    with pytest.raises(CheckpointError, match="is not the table"):
        load_model(folder)


def test_drift_is_noticed(folder, monkeypatch):
    """A program whose features had changed since the weights were saved would print nonsense without a word."""
    monkeypatch.setattr("asr.features.fbank.POVEY_POWER", 0.5)
    with pytest.raises(CheckpointError, match="on its golden input the model is off by"):
        load_model(folder)


def test_a_model_with_a_window_is_asked_in_a_short_one_and_folders_with_answers_of_a_whole_one_are_read(
    tmp_path, monkeypatch
):
    """Thirty seconds of silence took a quarter of the time that a program needs to start."""
    folder = import_model("whisper", FIXTURES / "whisper-tiny-hf", tmp_path / "whisper").folder
    monkeypatch.setattr("asr.model.golden.GOLDEN_WINDOW", 1.5)  # what a folder was saved with holds for it
    heard = []

    def encode(model, samples, lengths, windows=None):
        heard.append(windows.tolist())
        return SpeechModel.encode_features(model, *model.features(samples, lengths, windows))

    monkeypatch.setattr(SpeechModel, "encode", encode)
    load_model(folder)
    assert heard == [[32000]]
    metadata, tensors = read_header(folder / "model.safetensors"), load_file(folder / "model.safetensors")
    for answers, message in ((golden_answers(load_model(folder).model), ""), ([0.0] * 16, "is off by")):
        header = json.dumps(metadata | {"golden": json.dumps(answers)})
        save_file(tensors, folder / "model.safetensors", {"asr": header})
        with pytest.raises(CheckpointError, match=message) if message else nullcontext():
            load_model(folder)
        assert heard[-1] == [48000]


def change(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "tokens.txt").unlink(), "not a model folder, tokens.txt is missing"),
        (lambda f: (f / "config.json").write_text("{"), "config.json: damaged"),
        (lambda f: (f / "model.safetensors").write_bytes(b"xx"), "model.safetensors: damaged or not safetensors"),
        (lambda f: change(f, format_version=99), "has format 99, this program .* reads 1 to 3; update it"),
        (lambda f: change(f, normalizer="other"), "normalised by 'other'; this program knows 'mandarin-1'"),
        (lambda f: change(f, features={"n_mel": 80}), "features.n_mel: there is no such setting; did you mean n_mels?"),
        (lambda f: change(f, model={"subsampling": {"channels": 8}}), r"should have the shape .* by config.json, has"),
    ],
)
def test_damaged_folders_are_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def test_truncated_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged or not safetensors"):
        load_model(folder)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_one_bit_of_the_weights_is_noticed(folder, tmp_path, dtype):
    export(folder, tmp_path / "copy", dtype=dtype)
    path = tmp_path / "copy/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"damaged .*its numbers are not those that were saved\); copy the file again"
    ):
        load_model(tmp_path / "copy")


def test_a_checksum_by_hand():
    words = torch.tensor([1, -1, 5]), torch.tensor([3, 4], dtype=torch.uint8)
    assert checksum(dict(enumerate(words))) == f"{1 - 1 + 5 + 3 + 4:016x}"
    assert checksum({"a": torch.arange(9, dtype=torch.int32)[1:4]}) == f"{1 + (2 << 32) + 3:016x}"  # a part of another
    assert checksum({"a": torch.tensor(-2)}) == "fffffffffffffffe" and checksum({}) == "0" * 16


def test_settings_of_earlier_formats_are_those_of_today(folder):
    """Format 2 had the subsampling's settings among the model's, and a sample rate that could only be 16000."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert config["format_version"] == 3
    for version in (1, 2):
        of_model = {name: value for name, value in config["model"].items() if name != "subsampling"}
        of_model |= {"subsampling": 4, "channels": 6, "last_channels": 5, "subsampling_reflect": True}
        of_model |= {"subsampling_norm": True, "subsampling_activation": "gelu", "extra_frames": 2, "over_time": False}
        of_model |= {"blocks": [{"channels": 3, "kernel": 3, "stride": 4, "layers": 2, "shortcut": True}]}
        of_features = {name: value for name, value in config["features"].items() if name != "unit"}
        older = {"model": of_model, "features": of_features | {"sample_rate": 16000}, "format_version": version}
        path.write_text(json.dumps(config | older))
        features, model = read_config(folder)
        assert features == FeatureConfig()
        assert model.subsampling == SubsamplingConfig(
            4, 6, 5, True, True, "gelu", 2, blocks=(ConvolutionBlock(3, 3, 4, 2, True),)
        )
        assert asdict(model) | {"subsampling": None} == asdict(random_model("conformer").config) | {"subsampling": None}


def test_the_model_that_comes_along_loads():
    features, model = read_config(EMBEDDED)
    assert model.subsampling == SubsamplingConfig(2, 64, over_time=True) and features.range_db == 80.0


def test_unknown_models_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such model folder"):
        find_model("nowhere")
    with pytest.raises(CheckpointError, match="config.json is missing"):
        load_model(tmp_path)


def test_description(folder):
    lines = "\n".join(describe(load_model(folder)))
    assert (
        "conformer, 2 layers, width 16" in lines and "one memory frame per 40 ms" in lines and "step        7" in lines
    )


FULL_DISK = """
import sys
from tests.conftest import random_model
from asr.errors import CheckpointError
from asr.model.folder import save_model, load_model
from asr.text.tokenizer import TokenTable
folder, seed = sys.argv[1:]
try:
    save_model(folder, random_model("conformer", seed=int(seed)), TokenTable.load(folder + "/tokens.txt"), {"step": "8"})
except CheckpointError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_saved_model_intact(folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    command = [sys.executable, "-c", files_end_at(20_000) + FULL_DISK, folder, "1"]
    done = forked.run(command, capture_output=True, text=True)
    assert "model.safetensors: could not be saved, the disk is full; the one saved before is intact" in done.stdout, (
        done.stderr
    )
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert load_model(folder).metadata["step"] == "7"


def test_an_export_keeps_the_card_and_the_licence(folder, tmp_path):
    for name in ("README.md", "LICENSE", "NOTICE.txt", "licence-of-the-data.md"):
        (folder / name).write_text(f"# {name}")
    (folder / "notes.md").write_text("of mine")
    export(folder, tmp_path / "half")
    names = {path.name for path in (tmp_path / "half").iterdir()}
    assert names == {"README.md", "LICENSE", "NOTICE.txt", "licence-of-the-data.md"} | {
        "config.json",
        "model.safetensors",
        "tokens.txt",
    }
    (tmp_path / "card.md").write_text("# another")
    export(folder, tmp_path / "half", tmp_path / "card.md", force=True)
    assert (tmp_path / "half/README.md").read_text() == "# another"


def test_what_belonged_to_the_model_before_goes_with_it(folder, tmp_path):
    """Its licence and its card say nothing of the one that takes its place; what else is in the folder stays."""
    shutil.copytree(folder, tmp_path / "old")
    for name in ("README.md", "LICENSE", "lm.kenlm", "notes.txt"):
        (tmp_path / "old" / name).write_text("of the old one")
    (folder / "README.md").unlink()
    export(folder, tmp_path / "old", force=True)
    names = {path.name for path in (tmp_path / "old").iterdir()}
    assert names == {"config.json", "model.safetensors", "notes.txt", "tokens.txt"}


def test_a_folder_called_lm_may_be_anything(folder, tmp_path):
    (folder / "lm").mkdir()
    (folder / "lm/notes.txt").write_text("mine")
    assert own_language_model(folder) is None
    export(folder, tmp_path / "half")
    assert not (tmp_path / "half/lm").exists()
    export(folder, folder, force=True)
    assert (folder / "lm/notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "not stated"),
        ({"settings": '{"train": {"initial_model": ""}}'}, "trained from random weights"),
        ({"settings": '{"train": {"initial_model": "/exp/first"}}'}, "trained on from a model called first"),
        (
            {"settings": "damaged", "from": "trained on from a (step 3; not stated)"},
            "trained on from a (step 3; not stated)",
        ),
        (
            {"toolkit": "wenet", "source": "example.org/a", "licence": "Apache-2.0"},
            "a wenet checkpoint, source example.org/a, licence Apache-2.0",
        ),
        ({"toolkit": "whisper"}, "a whisper checkpoint, source and licence not stated at its import"),
    ],
)
def test_what_a_model_came_from(header, words):
    assert came_from(header) == words


def test_the_line_of_ancestors_is_told_and_bounded(folder):
    for n in range(20):
        loaded = load_model(folder)
        save_model(
            folder, loaded.model, loaded.tokenizer.table, {"step": str(n), "from": f"trained on from {lineage(folder)}"}
        )
    (folder / "README.md").write_text("# A model\n\nIt is\nof mine.\n\n| a | table |\n")
    (folder / "LICENSE").touch()
    lines = describe(load_model(folder), folder)
    told = next(line for line in lines if line.startswith("comes from"))
    assert told.startswith(f"comes from  trained on from {folder.name} (step 18; trained on from ") and len(told) < 350
    assert "card        README.md: A model. It is of mine." in lines and "licence in  LICENSE" in lines
