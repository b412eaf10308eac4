"""Small models as ONNX files, each exported once for all tests of a run: that takes seconds for each of their graphs."""

from dataclasses import replace
from pathlib import Path

import torch

from asr.catalogue.exporting import export_onnx
from asr.corpus.toy import CHARACTERS
from asr.features.cmvn import CmvnStats
from asr.features.fbank import FeatureConfig
from asr.model.folder import save_model
from asr.model.model import ModelConfig, SpeechModel
from asr.model.subsampling import SubsamplingConfig
from asr.text.tokenizer import TokenTable
from tests.conftest import small_sizes
from tests.heads import telling
from tests.sounds import noise, speech

TABLE = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", "<noise>", *CHARACTERS])
SHAPES = {
    "transformer": {"ctc": False},
    "conformer": {"positions": "relative", "conv_norm": "batch"},
    "e_branchformer": {"positions": "relative"},
}
WITH_HEAD = "e_branchformer"
"""The one that has a no-speech head."""
SILENT, SPOKEN = noise(1.0, seed=1), speech(1.4, seed=2)
"""What that head tells apart."""


def small_model(kind: str) -> SpeechModel:
    """One encoder layer, as each takes the exporter seconds, and two of the decoder."""
    torch.manual_seed(3)
    of_encoder = dict(SHAPES[kind])
    config = ModelConfig(SubsamplingConfig(4, 4), of_encoder.pop("ctc", True), **small_sizes(kind=kind, **of_encoder))
    model = SpeechModel(FeatureConfig(), replace(config, encoder=replace(config.encoder, layers=1)), len(TABLE))
    model.cmvn.set(CmvnStats(tuple(10 + i / 40 for i in range(80)), tuple(3 + i / 80 for i in range(80)), 5))
    say_more_than_one_thing(model.eval())
    if kind == WITH_HEAD:
        model.no_speech = telling(model, SILENT, SPOKEN)
        with torch.no_grad():  # and its frames do not weigh the same
            model.no_speech.weight[0] = torch.linspace(-0.5, 0.5, model.config.encoder.width)
    return model


@torch.no_grad()
def say_more_than_one_thing(model: SpeechModel) -> None:
    """Takes from the heads what they say of any frame and of any place in a text: or that outweighs what differs."""
    memory = model.encode(torch.from_numpy(speech(3.0, 9))[None], torch.tensor([48_000]))
    texts = torch.randint(4, len(TABLE), (1, 30), generator=torch.Generator().manual_seed(5))
    model.decoder.out.bias -= model.decode_teacher_forced(memory, texts).mean((0, 1))
    model.decoder.out.bias[TABLE.eos] -= 0.5
    if model.ctc is not None:
        model.ctc.bias -= model.ctc(memory.values).mean((0, 1))


def write_exported(kind: str, folder: Path) -> None:
    """The model folder `model`, and `onnx`, what it is exported to."""
    save_model(folder / "model", small_model(kind), TABLE, card="# A card\n")
    export_onnx(folder / "model", folder / "onnx", "float32")
