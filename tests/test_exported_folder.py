"""A folder of ONNX files is opened only where its files are of one export, and all there."""

import json
import shutil

import pytest

from asr.errors import CheckpointError
from asr.exported.folder import ExportedModel

pytest.importorskip("onnxruntime", reason="pip install 'mandarin-asr[export]'")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 91234\n"


@pytest.mark.slow
def test_files_of_several_exports_are_no_model(exported_model, tmp_path):
    folder = tmp_path / "mixed"
    whole = exported_model("conformer") / "onnx"
    for change, message in (
        ({"layers": 10**12}, "layers and width"),
        ({"heads": 0}, "division"),
        ({"heads": 4}, "layers and heads"),
        ({"tokens": ["<blank>", "<unk>", "<sos>", "<eos>", "一"]}, r"tokens: a graph has \[25\], asr.json \[5\]"),
        ({"whisper": True}, "'mel' is missing"),
    ):
        shutil.copytree(whole, folder, dirs_exist_ok=True)
        values = json.loads((whole / "asr.json").read_text(encoding="utf-8"))
        (folder / "asr.json").write_text(json.dumps(values | change), encoding="utf-8")
        with pytest.raises(
            CheckpointError, match=f"mixed: holds files of several exports .*{message}.*; export the model again"
        ):
            ExportedModel(folder)
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    shutil.copy(whole / "encoder.onnx", folder / "decoder.onnx")
    with pytest.raises(CheckpointError, match="holds files of several exports .*'in_n_layer_self_k_cache' is missing"):
        ExportedModel(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("encoder.onnx", POINTER, "encoder.onnx: is what Git LFS leaves in the place of the file"),
        ("asr.safetensors", POINTER, "asr.safetensors: is what Git LFS leaves"),
        ("decoder.onnx", b"", "decoder.onnx: cannot be run by ONNX Runtime .*; export the model again"),
        ("asr.json", b"{}", "asr.json: is not what `asr model export --format onnx` writes"),
    ],
)
def test_files_that_are_not_there(file, content, message, exported_model, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(exported_model("conformer") / "onnx", folder)
    (folder / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        ExportedModel(folder)
