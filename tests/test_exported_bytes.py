"""Tables that hold single bytes beside characters, exported: sherpa-onnx writes the text that we do."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from asr.catalogue.exporting import export_onnx
from asr.decoding.decode_config import DecodeConfig
from asr.exporting.sherpa import WHISPER, forms_of, tokens_of
from asr.features.fbank import FeatureConfig
from asr.model.folder import LoadedModel, load_model, save_model
from asr.model.model import ModelConfig, SpeechModel
from asr.model.subsampling import SubsamplingConfig
from asr.recognition.recognizer import Recognizer
from asr.text.tokenizer import BYTES, CharacterTokenizer, TokenTable
from tests.conftest import random_model, small_sizes
from tests.sounds import speech

TABLE = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", "<|zh|>", *"今天好", *BYTES])
TEXT = "今鿏é~ 天"
WRITTEN = ["今", *"鿏é~ ".encode(), "天"]


@torch.no_grad()
def writes(model: SpeechModel, tokens: list[int]) -> SpeechModel:
    """A decoder that writes these tokens whatever it hears, each because of the one before it."""
    for layer in model.decoder.layers:
        for linear in (layer.self_attention.out, layer.cross_attention.out, layer.feed_forward[3]):
            linear.weight.zero_()
            linear.bias.zero_()
    model.decoder.out.weight.zero_()
    model.decoder.out.bias.zero_()
    rows = torch.eye(model.decoder.embedding.weight.shape[1]) - 1 / 16
    for row, before, token in zip(rows, tokens, tokens[1:], strict=False):
        model.decoder.embedding.weight[before] = 30 * row
        model.decoder.out.weight[token] = 20 * row
    return model


def built(table: TokenTable, features: FeatureConfig) -> SpeechModel:
    """A small model that writes TEXT by its decoder, and ~ by its CTC head."""
    torch.manual_seed(1)
    sizes = small_sizes()
    sizes["encoder"] = replace(sizes["encoder"], layers=1)
    if features.kind == "stft":
        sizes["decoder"] = replace(sizes["decoder"], prompt=(table.ids["<|zh|>"],))
    model = SpeechModel(features, ModelConfig(SubsamplingConfig(4, 4), True, **sizes), len(table)).eval()
    torch.nn.init.zeros_(model.ctc.weight)
    model.ctc.bias.data[table.ids["<0x07>"]], model.ctc.bias.data[table.ids["<0x7E>"]] = 40.0, 30.0
    ids = [table.ids[f"<0x{token:02X}>" if isinstance(token, int) else token] for token in WRITTEN]
    return writes(model, [table.sos, *ids, table.eos])


@pytest.mark.slow
def test_sherpa_onnx_writes_the_characters_of_bytes(tmp_path):
    """Of the decoder and of the CTC head; a control character, which it would spell, is never written."""
    pytest.importorskip("onnxruntime", reason="pip install 'mandarin-asr[export]'")
    sherpa = pytest.importorskip("sherpa_onnx")
    save_model(tmp_path / "model", built(TABLE, FeatureConfig()), TABLE)
    export_onnx(tmp_path / "model", tmp_path / "onnx", "float32")
    loaded, clip = load_model(tmp_path / "model"), speech(3.0, 2)
    settings = DecodeConfig(beam=1, ctc_weight=0.0, redecode=False)
    assert Recognizer(loaded.model, loaded.tokenizer, settings).recognize([clip])[0][0].text == TEXT
    encoder, decoder, ctc, tokens = (
        str(tmp_path / "onnx" / name) for name in ("encoder.onnx", "decoder.onnx", "model.onnx", "tokens.txt")
    )
    texts = []
    for recognizer in (
        sherpa.OfflineRecognizer.from_fire_red_asr(encoder=encoder, decoder=decoder, tokens=tokens),
        sherpa.OfflineRecognizer.from_fire_red_asr_ctc(ctc, tokens=tokens),
    ):
        stream = recognizer.create_stream()
        stream.accept_waveform(16000, clip)
        recognizer.decode_stream(stream)
        texts.append(stream.result.text.strip())
    assert texts == [TEXT, "~"]


def test_control_characters_are_not_written_by_what_sherpa_onnx_runs():
    forms = forms_of(
        LoadedModel("ours", built(TABLE, FeatureConfig()), CharacterTokenizer(TABLE), {}, Path()), DecodeConfig()
    )
    allowed = forms[1].parts[0].graph().module.allowed
    barred = {byte for i, byte in TABLE.bytes.items() if allowed[i] == -torch.inf}
    assert barred == set(range(16))


def test_bytes_as_sherpa_onnx_lists_them():
    ours = LoadedModel("ours", random_model(vocabulary=len(TABLE)), CharacterTokenizer(TABLE), {}, Path())
    listed = dict((i, token) for token, i in tokens_of(ours))
    assert all(listed[i] == f"<0x{byte:02X}>" for i, byte in TABLE.bytes.items())
    whisper = LoadedModel("ours", built(TABLE, WHISPER), CharacterTokenizer(TABLE), {}, Path())
    listed = dict((i, token) for token, i in tokens_of(whisper))
    assert all(base64.b64decode(listed[i]) == bytes([byte]) for i, byte in TABLE.bytes.items())
