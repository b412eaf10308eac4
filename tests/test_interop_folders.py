"""Folders of other toolkits as people have them: half fetched, linked, of several checkpoints, with files of other models."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from asr.errors import CheckpointError
from asr.interop.foreign import read_pieces
from asr.interop.importing import import_model, read_model
from asr.text.tokenizer import TokenTable
from tests.test_interop import FOLDERS
from tests.test_interop_refusals import change, refused

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 91234\n"


@pytest.fixture
def copy(tmp_path):
    """Copies a fixture into a folder that the test may change."""

    def make(name: str, place: str = "foreign") -> Path:
        return Path(shutil.copytree(FOLDERS[name], tmp_path / place, ignore=shutil.ignore_patterns("golden.*")))

    return make


def rewrite(path: Path, edit) -> None:
    """Saves a YAML file anew after `edit`."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(values)
    path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), encoding="utf-8")


@pytest.mark.parametrize(
    ("toolkit", "name", "file"),
    [
        ("wenet", "wenet-transformer", "final.pt"),
        ("wenet", "wenet-transformer", "units.txt"),
        ("wenet", "wenet-transformer", "train.yaml"),
        ("firered", "fireredasr-aed", "train_bpe1000.model"),
        ("firered", "fireredasr-aed", "cmvn.ark"),
        ("speechbrain", "speechbrain-transformer", "normalizer.ckpt"),
        ("whisper", "whisper-tiny-hf", "model.safetensors"),
        ("whisper", "whisper-tiny-hf", "tokenizer.json"),
    ],
)
def test_what_git_lfs_has_not_fetched_is_called_so(toolkit, name, file, copy):
    folder = copy(name)
    (folder / file).write_bytes(POINTER)
    refused(
        toolkit,
        folder,
        f"{file}: is what Git LFS leaves in the place of the file, which was not fetched; `git lfs pull`",
    )


def test_half_a_checkpoint_and_a_compiled_one_are_called_so(copy):
    folder = copy("wenet-transformer")
    path, whole = folder / "final.pt", (folder / "final.pt").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(
        "wenet", folder, rf"final.pt: damaged or no PyTorch checkpoint \(it is cut off after {len(whole) // 2:,} bytes"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("final/constants.pkl", b"\x80\x02).")
    refused("wenet", folder, "it is a program of TorchScript, not the checkpoint that it was made of")


@pytest.mark.parametrize(
    "tensor", [torch.zeros(3).to(torch.float8_e4m3fn), torch.eye(3).to_sparse(), torch.zeros(3, dtype=torch.complex64)]
)
def test_tensors_of_other_kinds_are_called_so(tensor, copy):
    folder = copy("wenet-transformer")
    change(folder, "final.pt", lambda state: state.update({"ctc.ctc_lo.bias": tensor}))
    refused(
        "wenet",
        folder,
        r"final.pt: holds tensors of a kind that is not read \(torch\..*: sparse, complex, quantised or",
    )


def test_one_of_several_checkpoints_is_not_guessed(copy):
    folder = copy("wenet-transformer")
    for name in ("0.pt", "239.pt"):
        shutil.copy(folder / "final.pt", folder / name)
    read_model("wenet", folder)
    (folder / "final.pt").unlink()
    (folder / "0.pt").unlink()
    (folder / "latest.pt").symlink_to("239.pt")
    read_model("wenet", folder)  # one file under two names
    (folder / "latest.pt").unlink()
    shutil.copy(folder / "239.pt", folder / "0.pt")
    refused(
        "wenet",
        folder,
        r"holds no final.pt, and several that may be its weights \(0.pt, 239.pt\); call the one that is",
    )
    (folder / "0.pt").rename(folder / "._239.pt")  # as a Mac leaves it on a disk of another system
    read_model("wenet", folder)


def linked(source: Path, cache: Path) -> Path:
    """A folder as the cache of Hugging Face keeps it: links to files that are called by what is in them."""
    snapshot, blobs = cache / "snapshots" / "abc123", cache / "blobs"
    blobs.mkdir(parents=True)
    for i, path in enumerate(sorted(path for path in source.rglob("*") if path.is_file())):
        place = snapshot / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blobs / f"{i:064x}")
        place.symlink_to(blobs / f"{i:064x}")
    return snapshot


def test_links_of_hugging_faces_cache_are_followed_and_others_give_nothing_away(copy, tmp_path):
    (tmp_path / "secret").write_text("a key")
    source = copy("espnet2-transformer")
    (source / "LICENSE").write_text("free")
    snapshot = linked(source, tmp_path / "models--someone--mine")
    (snapshot / "NOTICE").symlink_to(tmp_path / "secret")
    imported = import_model("espnet", snapshot, tmp_path / "out")
    assert f"NOTICE: leads out of {snapshot}, and is not copied" in imported.remarks
    assert (tmp_path / "out" / "LICENSE").read_text() == "free" and not (tmp_path / "out" / "NOTICE").exists()
    other = copy("espnet2-transformer", "other")
    weights = next(other.rglob("*.pth"))
    weights.rename(tmp_path / "elsewhere.pth")
    weights.symlink_to(tmp_path / "elsewhere.pth")
    with pytest.raises(CheckpointError, match=r"names the file '.*valid.acc.ave.pth', which is not inside the folder"):
        read_model("espnet", other)


@pytest.mark.parametrize("name", ["../elsewhere.pth", "/etc/passwd", "exp/../../elsewhere.pth"])
def test_names_that_lead_out_of_the_folder(name, copy):
    folder = copy("espnet2-transformer")
    rewrite(folder / "meta.yaml", lambda values: values["files"].update(asr_model_file=name))
    refused("espnet", folder, "names the file '.*', which is not inside the folder")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "meta.yaml: files: names no asr_model_file"),
        ({"tts_model_file": "a"}, "names no asr_model_file"),
        ([1], "files: must be dict"),
    ],
)
def test_a_package_that_names_no_weights(files, message, copy):
    folder = copy("espnet2-transformer")
    rewrite(folder / "meta.yaml", lambda values: values.update(files=files))
    refused("espnet", folder, message)


def test_pieces_of_another_model(copy):
    folder = copy("fireredasr-aed")
    path = folder / "train_bpe1000.model"
    shutil.copy(FOLDERS["speechbrain-transformer"] / "tokenizer.ckpt", path)
    refused(
        "firered", folder, "is the SentencePiece model of other tokens: it has no piece ▁W, ▁GO, ▁IS of this model's"
    )
    path.write_bytes(b"root:x:0:0")
    refused("firered", folder, "train_bpe1000.model: not a SentencePiece model")


def test_a_table_may_lack_pieces_and_have_others(tmp_path):
    path = FOLDERS["fireredasr-aed"] / "train_bpe1000.model"
    for tokens in (["一"], ["▁GO", "▁IS", "▁OTHER"], ["▁GO", "▁OTHER"]):
        assert read_pieces(path, TokenTable(["<blank>", "<unk>", "<sos/eos>", *tokens])) == path.read_bytes()


def test_pieces_that_a_folder_of_wenet_names_and_lacks(copy, tmp_path):
    folder = copy("wenet-transformer")
    rewrite(folder / "train.yaml", lambda values: values["tokenizer_conf"].update(bpe_path="data/lang/train_960.model"))
    imported = import_model("wenet", folder, tmp_path / "out")
    assert any("'train_960.model' is not in the folder: it writes Latin words" in line for line in imported.remarks)
    (folder / "train_960.model").write_bytes(b"no model")
    refused("wenet", folder, "train_960.model: not a SentencePiece model")


@pytest.mark.parametrize("token", ["a\nb", "\r", "\ud800"])
def test_tokens_that_no_line_can_hold(token, copy):
    folder = copy("espnet2-conformer")
    path = folder / "config.yaml"
    escaped = token.encode("unicode_escape").decode()
    path.write_text(path.read_text(encoding="utf-8").replace("- 一\n", f'- "{escaped}"\n'), encoding="utf-8")
    refused("espnet", folder, "config.yaml: token table: .* holds a line break or half a character")


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_deviations_that_are_none(value, copy):
    folder = copy("espnet2-conformer")
    change(folder, "valid.acc.ave.pth", lambda state: state["normalize.std"][3].fill_(value))
    refused("espnet", folder, "features cannot be normalised: by normalize.std not every deviation is above 0")
    folder = copy("wenet-conformer", "other")
    change(folder, "final.pt", lambda state: state["encoder.global_cmvn.istd"][3].fill_(value))
    refused("wenet", folder, "by encoder.global_cmvn.istd not every deviation is above 0")


def test_a_model_of_ctc_alone(copy):
    folder = copy("wenet-conformer")
    change(folder, "final.pt", lambda state: [state.pop(name) for name in list(state) if name.startswith("decoder.")])
    refused("wenet", folder, "final.pt: holds no decoder; it is a model of CTC alone, which cannot be imported")


def test_tied_weights_must_be_the_same(copy):
    folder = copy("wenet-transformer")
    rewrite(folder / "train.yaml", lambda values: values["decoder_conf"].update(tie_word_embedding=True))
    refused(
        "wenet", folder, r"output_layer.weight is not the embedding, to which it should be tied \(tie_word_embedding\)"
    )
    change(
        folder, "final.pt", lambda state: state.update({"decoder.output_layer.weight": state["decoder.embed.0.weight"]})
    )
    tied = read_model("wenet", folder)[1]
    change(folder, "final.pt", lambda state: state.pop("decoder.output_layer.weight"))
    assert torch.equal(read_model("wenet", folder)[1].decoder.out.weight, tied.decoder.out.weight)


def test_whole_numbers_in_a_bias_are_no_weights_either(copy):
    folder = copy("wenet-transformer")
    change(folder, "final.pt", lambda state: state.update({"ctc.ctc_lo.bias": torch.ones(57, dtype=torch.int32)}))
    refused("wenet", folder, "ctc.ctc_lo.bias holds whole numbers")


@pytest.mark.parametrize("setting", ["eos_id", "pad_id"])
def test_special_tokens_of_fireredasr_must_differ(setting, copy):
    folder = copy("fireredasr-aed")
    data = torch.load(folder / "model.pth.tar", weights_only=False)
    setattr(data["args"], setting, data["args"].sos_id)
    torch.save(data, folder / "model.pth.tar")
    refused("firered", folder, f"args.{setting}: 3 is sos_id, too; they must be different tokens")


def test_references_to_references_take_no_time(copy):
    """Each twenty times two others, twenty deep."""
    folder = copy("speechbrain-transformer")
    path = folder / "hyperparams.yaml"
    lines = [
        f"{side}{i}: !ref {'+'.join(f'<a{i + 1}>+<b{i + 1}>' for _ in range(9))}" for i in range(18) for side in "ab"
    ]
    text = path.read_text(encoding="utf-8").replace(
        "d_ffn: 64", "\n".join(["d_ffn: !ref <a0>", *lines, "a18: 1", "b18: 1"])
    )
    path.write_text(text, encoding="utf-8")
    refused("speechbrain", folder, "d_ffn: must be a number up to")


def test_a_text_file_of_gigabytes_is_not_read(copy):
    folder = copy("wenet-transformer")
    with open(folder / "units.txt", "r+b") as file:
        file.truncate(3_000_000_000)
    refused("wenet", folder, r"units.txt: no token table \(3,000,000,000 bytes are no settings and no tokens\)")


def shards(folder: Path) -> tuple[dict[str, str], Path]:
    """The weights of a folder in two files; which tensor is in which, and the index that says so."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(sorted(tensors))}
    for file in sorted(set(places.values())):
        save_file({name: tensor for name, tensor in tensors.items() if places[name] == file}, folder / file)
    return places, folder / "model.safetensors.index.json"


def test_files_of_weights_that_do_not_belong_together(copy):
    folder = copy("whisper-tiny-hf")
    places, path = shards(folder)

    def says(**changed: object) -> None:
        path.write_text("\ufeff" + json.dumps({"weight_map": places | changed}), encoding="utf-8")

    says()
    read_model("whisper", folder)
    one, two = sorted(set(places.values()))
    first = next(name for name, file in places.items() if file == one)
    says(**{"model.other": one})
    refused(
        "whisper",
        folder,
        rf"{one}: holds other tensors than model.safetensors.index.json says \(model.other\): the files do not",
    )
    says(**{first: two})
    refused("whisper", folder, rf"{one}: holds other tensors than model.safetensors.index.json says \({first}\)")
    says()
    held = load_file(folder / two)
    save_file(held | {first: torch.zeros(1)}, folder / two)
    refused("whisper", folder, rf"{two}: holds other tensors than .* \({first}\)")
    for name in ("", "..", "/etc/passwd", "../x", 5):
        says(**{first: name})
        refused("whisper", folder, "which is no file of weights beside it")


def test_statistics_of_another_number_of_bins(copy):
    folder = copy("espnet2-conformer")
    change(folder, "valid.acc.ave.pth", lambda state: [state.pop(name) for name in list(state) if "normalize" in name])
    np.savez(folder / "feats_stats.npz", count=np.array(5), sum=np.ones(40), sum_square=np.ones(40))
    refused("espnet", folder, r"feats_stats.npz is \(40,\), not \(80,\) as the settings have it")
