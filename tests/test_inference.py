"""Models made fast: the same numbers in another layout, nearly the same in int8."""

import pytest
import torch

from asr.decoding.recognizer import Recognizer
from asr.decoding.settings import DecodeConfig
from asr.errors import ConfigError
from asr.features.fbank import pad_samples
from asr.model.folder import load_model, save_model
from asr.model.inference import PRECISIONS, compile_steps, lay_out_for_steps, quantize
from tests.conftest import random_model
from tests.test_model import sounds

TOKENS = torch.tensor([[2, 5, 9, 7]])


def log_probs(model) -> torch.Tensor:
    samples, lengths = pad_samples(sounds(1.0))
    with torch.inference_mode():
        return model.decode_teacher_forced(model.encode(samples, lengths), TOKENS).log_softmax(-1)


@pytest.mark.parametrize("kind", ["transformer", "conformer"])
def test_the_layout_changes_no_number(kind):
    model = random_model(kind)
    before, weights = log_probs(model), {name: p.clone() for name, p in model.state_dict().items()}
    lay_out_for_steps(model)
    assert model.decoder.layers[0].feed_forward[0].weight.stride() == (1, 32)
    assert all(torch.equal(p, weights[name]) for name, p in model.state_dict().items())
    assert torch.allclose(log_probs(model), before, atol=1e-5)


def test_a_model_that_was_laid_out_is_saved_as_it_was(tmp_path, tokenizer):
    model = random_model()
    save_model(tmp_path / "a", model, tokenizer.table)
    save_model(tmp_path / "b", load_model(tmp_path / "a").model, tokenizer.table)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_int8_is_close_and_leaves_the_model_alone():
    model = random_model()
    before = log_probs(model)
    small = quantize(model, "int8")
    assert (log_probs(small) - before).abs().max() < 0.2
    assert not torch.equal(log_probs(small), before) and torch.equal(log_probs(model), before)
    assert quantize(model, "none") is model


@pytest.mark.parametrize("precision", PRECISIONS)
def test_compiled_layers_compute_the_same(precision, tokenizer):
    model = quantize(random_model(), precision)
    utterances = sounds(1.0, 0.5)
    before = Recognizer(model, tokenizer, DecodeConfig(beam=3, nbest=3)).recognize(utterances)
    compile_steps(model)
    after = Recognizer(model, tokenizer, DecodeConfig(beam=3, nbest=3)).recognize(utterances)
    for a, b in zip(before, after, strict=True):
        assert [r.text for r in a] == [r.text for r in b]
        assert [r.hypothesis.score for r in a] == pytest.approx([r.hypothesis.score for r in b], abs=1e-4)


def test_what_cannot_be_quantized():
    with pytest.raises(ConfigError, match="quantize must be one of none, int8, is 'int4'"):
        quantize(random_model(), "int4")
    with pytest.raises(ConfigError, match="quantize int8 works on a CPU only, the model is on meta"):
        quantize(random_model().to("meta"), "int8")
