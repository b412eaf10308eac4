"""Published models served as their toolkits publish them, small: pulled by name, they are what the importer makes of them."""

import io
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from asr.catalogue import pull
from asr.catalogue.published import PUBLISHED
from asr.catalogue.published_model import PublishedFile
from asr.interop.importing import IMPORTERS, import_model
from tests.conftest import ROOT
from tests.hub import hub

FIXTURES = ROOT / "tests/fixtures/interop"
CASES = {
    "firered2-aed": "fireredasr2-aed",
    "firered-aed-l": "fireredasr-aed",
    "espnet-wenetspeech": "espnet2-transformer",
    "wenet-wenetspeech": "wenet-u2pp-conformer",
    "wenet-aishell": "wenet-transformer-old",
    "speechbrain-aishell": "speechbrain-transformer",
    "whisper-small": "whisper-tiny-hf",
    "belle-whisper-large-v3-zh": "whisper-tiny-hf",
}
"""Name → the fixture that stands for it."""


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub with the fixtures at the addresses of the table, whose sizes and checksums are of the real files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with hub() as here:
        monkeypatch.setenv("HF_ENDPOINT", here.address)
        for name, case in CASES.items():
            model = PUBLISHED[name]
            monkeypatch.setitem(
                PUBLISHED, name, replace(model, files=tuple(PublishedFile(f.path) for f in model.files))
            )
            for file in model.files:
                here.serve(address(name, file.path), content(FIXTURES / case, file.path, model.files))
        yield here


def address(name: str, path: str) -> str:
    repository = PUBLISHED[name].repositories["huggingface"]
    return f"/{repository.name}/resolve/{repository.revision or 'main'}/{path}"


def content(folder: Path, path: str, files: tuple[PublishedFile, ...]) -> bytes:
    """What the fixture has under the name that the published file has."""
    if path.endswith(".tar.gz"):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            tar.add(folder, "20220506_exp")
        return archive.getvalue()
    if path == "meta.yaml":
        weights, settings = (next(f.path for f in files if f.path.endswith(end)) for end in (".pth", "config.yaml"))
        meta = {"files": {"asr_model_file": weights}, "yaml_files": {"asr_train_config": settings}}
        return yaml.safe_dump(meta).encode()
    if path == "pytorch_model.bin":
        state = io.BytesIO()
        torch.save(load_file(folder / "model.safetensors"), state)
        return state.getvalue()
    pattern = "*.pth" if path.endswith(".pth") else Path(path).name
    (found,) = folder.rglob(pattern)
    return found.read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_a_pulled_model_is_what_the_importer_makes(run, server, tmp_path, name):
    model = PUBLISHED[name]
    status, out, err = run("transcribe", "--model", name, ROOT / "data/sample/beijing.flac")
    assert status == 0 and f"{name}: ready" in err and len(out.splitlines()) == 1
    folder = pull.cached(name)
    notes = {
        "source": f"{pull.origin(model, 'huggingface')}, Hugging Face",
        "licence": model.licence,
    }
    import_model(model.toolkit, FIXTURES / CASES[name], tmp_path / name, notes, dtype=model.dtype)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / name).iterdir())
    for file in set(names) - {"README.md"}:  # it names the checkpoint, and that is called otherwise here
        assert (folder / file).read_bytes() == (tmp_path / name / file).read_bytes(), file
    assert f"| licence | {model.licence} |" in (folder / "README.md").read_text(encoding="utf-8")
    assert f"licence     {model.licence}" in run("model", "info", folder)[1]


class Evil:
    def __reduce__(self):
        return print, ("this must not be printed",)


def test_a_pickle_that_would_run_code_is_pulled_and_refused(run, server):
    server.serve(address("speechbrain-aishell", "asr.ckpt"), pickle.dumps(Evil(), 2))
    status, out, err = run("model", "pull", "speechbrain-aishell")
    assert (status, out) == (1, "") and "asr.ckpt" in err.splitlines()[-1] and "must not" not in err
    assert pull.cached("speechbrain-aishell") is None and list((pull.cache() / "models").iterdir()) == []


def test_every_row_has_an_importer():
    assert {model.toolkit for model in PUBLISHED.values()} <= set(IMPORTERS)
