"""Models made fast: the same numbers in another layout, nearly the same in fewer bits."""

import math
import warnings

import pytest
import torch
from torch import nn

from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError
from asr.features.fbank import pad_samples
from asr.model import inference, layers
from asr.model.folder import load_model, save_model
from asr.model.inference import (
    Int8Linear,
    JoinedAttention,
    PackedLinear,
    compile_steps,
    halved,
    join_self_attention,
    pack,
    packs_bfloat16,
    quantized,
    ready_to_decode,
)
from asr.model.layers import ACTIVATIONS, Attention, attend
from asr.recognition.recognizer import Recognizer
from tests.conftest import random_model
from tests.test_model import sounds, whisper_like

TOKENS = torch.tensor([[2, 5, 9, 7]])


def log_probs(model) -> torch.Tensor:
    device = model.cmvn.mean.device
    samples, lengths, tokens = (x.to(device) for x in (*pad_samples(sounds(1.0)), TOKENS))
    with torch.inference_mode():
        return model.decode_teacher_forced(model.encode(samples, lengths), tokens).log_softmax(-1)


@pytest.fixture
def all_packed(monkeypatch):
    """Small layers, which are all that these models have, are packed too."""
    monkeypatch.setattr(inference, "LARGEST_PLAIN", 0)


@pytest.mark.parametrize("kind", ["transformer", "conformer", "e_branchformer"])
def test_packing_changes_no_number(kind, all_packed):
    model = random_model(kind)
    before = log_probs(model)
    pack(model)
    assert isinstance(model.decoder.out, PackedLinear)
    assert not [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    assert torch.allclose(log_probs(model), before, atol=1e-5)


def test_small_layers_are_laid_out_by_columns():
    model = random_model()
    before, weights = log_probs(model), {name: p.clone() for name, p in model.state_dict().items()}
    pack(model)
    assert model.decoder.layers[0].feed_forward[0].weight.stride() == (1, 32)
    assert all(torch.equal(p, weights[name]) for name, p in model.state_dict().items())
    assert torch.allclose(log_probs(model), before, atol=1e-5)


@pytest.mark.parametrize("rows", [(1,), (2, 1), (10,), (3, 7), (64,), (1, 160)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("for_one", [True, False])
def test_a_packed_layer_takes_any_number_of_rows(rows, bias, for_one):
    layer = nn.Linear(48, 37, bias=bias)
    x = torch.randn(*rows, 48)
    with torch.inference_mode():
        assert torch.allclose(PackedLinear(layer, for_one=for_one)(x), layer(x), atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_joins_the_product_before_it(activation, all_packed):
    """But for a greedy search's decoder, which multiplies single rows otherwise."""
    model = random_model(activation=activation)
    before, rows = log_probs(model), torch.randn(2, 5, 16)
    part = model.encoder.blocks[0].feed_forward
    expected = part(rows)
    pack(model)
    assert isinstance(part[1], nn.Identity) and torch.allclose(part(rows), expected, atol=1e-5)
    assert torch.allclose(log_probs(model), before, atol=1e-5)
    greedy = random_model(activation=activation)
    pack(greedy, greedy=True)
    assert isinstance(greedy.encoder.blocks[0].feed_forward[1], nn.Identity)
    assert not isinstance(greedy.decoder.layers[0].feed_forward[1], nn.Identity)
    assert torch.allclose(log_probs(greedy), before, atol=1e-5)


def test_only_the_decoder_of_a_greedy_search_is_laid_out_for_one_row_too(all_packed):
    kept = {}
    for greedy in (True, False):
        model = random_model()
        pack(model, greedy=greedy)
        kept[greedy] = {n.split(".")[0] for n, m in model.named_modules() if getattr(m, "columns", None) is not None}
    assert kept == {True: {"decoder"}, False: set()}


def test_without_onednn_nothing_is_packed(monkeypatch, all_packed):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    model = random_model()
    pack(model)
    assert isinstance(model.decoder.out, nn.Linear)


def test_a_tied_output_stays_what_the_embedding_is(all_packed):
    model = random_model()
    model.decoder.out.weight = model.decoder.embedding.weight
    before, embedding = log_probs(model), model.decoder.embedding.weight.clone()
    pack(model)
    assert torch.allclose(log_probs(model), before, atol=1e-5)
    assert torch.equal(model.decoder.embedding.weight, embedding)


def test_a_model_that_was_loaded_is_saved_as_it_was(tmp_path, tokenizer):
    model = random_model()
    save_model(tmp_path / "a", model, tokenizer.table)
    save_model(tmp_path / "b", load_model(tmp_path / "a").model, tokenizer.table)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_int8_is_close_and_leaves_the_model_alone():
    model = random_model()
    before = log_probs(model)
    small = quantized(model, "int8")
    assert (log_probs(small) - before).abs().max() < 0.2
    assert not torch.equal(log_probs(small), before) and torch.equal(log_probs(model), before)
    assert quantized(model, "none") is model


def test_joined_attention_gives_the_three_parts():
    attention = Attention(24, 3)
    x = torch.randn(2, 5, 24)
    queries, keys_values = attention.project(x)
    joined = JoinedAttention(attention)
    joined_queries, joined_keys_values = joined.project(x)
    torch.testing.assert_close((joined_queries, *joined_keys_values), (queries, *keys_values))
    torch.testing.assert_close(joined.find(queries, keys_values, None), attention(x, keys_values, None))


@torch.inference_mode()
def test_int8_gives_each_row_and_each_output_a_scale_of_its_own():
    """Loud rows and large outputs take no steps from the others, however far apart they are."""
    torch.manual_seed(1)
    layer = torch.nn.Linear(64, 48)
    layer.weight.mul_(10 ** torch.linspace(-2, 2, 48)[:, None])
    x = torch.randn(200, 64) * 10 ** torch.linspace(-3, 3, 200)[:, None]
    exact, rounded = (part(x) - part(torch.zeros(1, 64)) for part in (layer, Int8Linear(layer)))
    relative = (rounded - exact) / x.norm(dim=1, keepdim=True) / layer.weight.norm(dim=1)
    assert relative.abs().max() < 0.02
    assert torch.equal(Int8Linear(layer)(torch.zeros(1, 64)), layer.bias[None])
    layer.bias = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        theirs = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(layer), settings)
    ours = Int8Linear(layer)
    ours.seven_bits = True
    assert torch.equal(ours(x[:1]), theirs(x[:1]))  # of a row PyTorch makes the same, bit by bit


@torch.inference_mode()
def test_the_largest_inputs_and_weights_do_not_overflow():
    """On a CPU that adds products up in 16 bits, inputs have 7 bits."""
    layer = torch.nn.Linear(2048, 32, bias=False)
    layer.weight.fill_(1.0)
    x = torch.tensor([[1.0], [-1.0]]).expand(-1, 2048)
    torch.testing.assert_close(Int8Linear(layer)(x), layer(x), rtol=0.01, atol=0)


@pytest.mark.parametrize("quantize", ["none", "int8"])
@pytest.mark.parametrize("beam", [1, 3])
def test_a_model_made_ready_finds_the_same(quantize, beam, tokenizer, all_packed):
    model = quantized(random_model(), quantize)
    utterances = sounds(1.0, 0.5)
    before = Recognizer(model, tokenizer, DecodeConfig(beam=beam, nbest=beam)).recognize(utterances)
    join_self_attention(model)
    pack(model, greedy=beam == 1)
    compile_steps(model)
    after = Recognizer(model, tokenizer, DecodeConfig(beam=beam, nbest=beam)).recognize(utterances)
    for a, b in zip(before, after, strict=True):
        assert [r.text for r in a] == [r.text for r in b]
        assert [r.hypothesis.score for r in a] == pytest.approx([r.hypothesis.score for r in b], abs=1e-4)


IN_16_BITS = [
    pytest.param(
        lambda model: ready_to_decode(model, "bfloat16"),
        id="products",
        marks=pytest.mark.skipif(not packs_bfloat16(), reason="this CPU does not multiply in bfloat16"),
    ),
    pytest.param(lambda model: halved(model, torch.bfloat16), id="all"),  # as on a GPU
]
KINDS = ["transformer", "conformer", "e_branchformer", "relative"]


def model_of(kind: str):
    return random_model("conformer", positions="relative") if kind == "relative" else random_model(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_16_bits", IN_16_BITS)
def test_bfloat16_is_close(kind, in_16_bits):
    before = log_probs(model_of(kind))
    half = in_16_bits(model_of(kind))
    assert half.ctc.weight.dtype == torch.float32 and not isinstance(half.ctc, PackedLinear)
    assert 0 < (log_probs(half).float() - before).abs().max() < 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("in_16_bits", IN_16_BITS)
def test_a_model_in_bfloat16_recognizes_with_all_that_joins_in(kind, in_16_bits, beam, tokenizer):
    """CTC head, times by it and by attention, several utterances at once: nothing trips over the two types."""
    half = in_16_bits(model_of(kind))
    for ctc_weight in (0.0, 0.5):
        config = DecodeConfig(beam=beam, ctc_weight=ctc_weight, coverage_weight=0.1)
        [found] = Recognizer(half, tokenizer, config).recognize(sounds(1.0), timed=True)[0]
        assert math.isfinite(found.hypothesis.score)  # how close the numbers are, the test before says
        assert len(found.spans) == len(found.hypothesis.tokens)
    half.ctc = None
    assert Recognizer(half, tokenizer, DecodeConfig(beam=beam)).recognize(sounds(1.0, 0.5), timed=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("quantize", ["bfloat16", "float16"])
def test_16_bits_on_a_gpu(quantize):
    model = random_model().cuda()
    before = log_probs(model)
    assert (log_probs(ready_to_decode(model, quantize)).float() - before).abs().max() < 0.1


def test_what_cannot_be_quantized():
    with pytest.raises(ConfigError, match="quantize must be one of none, int8, bfloat16, float16, is 'int4'"):
        ready_to_decode(random_model(), "int4")
    with pytest.raises(ConfigError, match="quantize int8 works on a CPU only, the model is on meta"):
        ready_to_decode(random_model().to("meta"), "int8")
    with pytest.raises(ConfigError, match="quantize float16 works on a GPU only; on a CPU take bfloat16 or int8"):
        ready_to_decode(random_model(), "float16")


def test_attention_to_keys_in_bfloat16_is_close():
    """Also with a mask of numbers, and where keys of a head lie apart."""
    generator = torch.Generator().manual_seed(1)
    queries, keys, values = (torch.randn(2, 9, 4, 16, generator=generator).transpose(1, 2) for _ in range(3))
    for mask in (None, torch.zeros(2, 1, 1, 9).index_fill(3, torch.tensor([8]), -torch.inf)):
        exact = attend(queries, keys, values, mask)
        rounded = attend(queries, keys.bfloat16(), values.bfloat16(), mask)
        assert rounded.dtype == torch.float32 and torch.allclose(rounded, exact, atol=0.03)


@pytest.mark.parametrize("most", [layers.BLOCK_OF_SCORES, 500, 1])
def test_many_queries_in_bfloat16_find_the_same_some_at_a_time(most, monkeypatch):
    """Of any number, with and without masks, of which one may differ from query to query."""
    generator = torch.Generator().manual_seed(1)
    for L in (1, 31, 32, 70):
        queries, keys, values = (torch.randn(2, 4, L, 16, generator=generator) for _ in range(3))
        some = torch.arange(L) < torch.tensor([L, max(1, L - 3)])[:, None, None, None]
        for mask in (None, some, torch.randn(2, 4, L, L, generator=generator)):
            exact = attend(queries, keys, values, mask)
            with torch.no_grad():
                monkeypatch.setattr(layers._attend_in_blocks, "__defaults__", (layers.VECTOR, most))
                rounded = attend(queries, keys.bfloat16(), values.bfloat16(), mask)
            assert rounded.dtype == torch.float32 and torch.allclose(rounded, exact, atol=0.05)


@torch.inference_mode()
def test_whispers_convolutions_in_bfloat16_are_close():
    """In int8 alone, and where the CPU has it."""
    model = whisper_like()
    small = quantized(model, "int8")
    features, lengths = model.features(*pad_samples(sounds(0.9, 0.5)))
    exact, rounded = model.subsampling(features, lengths)[0], small.subsampling(features, lengths)[0]
    assert rounded.dtype == torch.float32 and (rounded - exact).abs().max() < 0.02 * exact.abs().max()
    assert torch.equal(rounded, exact) != packs_bfloat16()
