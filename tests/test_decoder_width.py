"""A decoder of another width than the encoder's, whose embeddings are normalised: what any decoder does, and its projection."""

import pytest
import torch

from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError
from asr.exporting.graphs import StepGraph, cross_keys_values
from asr.features.fbank import FeatureConfig, pad_samples
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.folder import load_model, save_model
from asr.model.inference import halved, ready_to_decode
from asr.model.model import ModelConfig, SpeechModel
from asr.model.subsampling import SubsamplingConfig
from asr.recognition.recognizer import Recognizer
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from tests.test_model import sounds

TABLE = TokenTable.build(["今天天气很好"])
ENCODER = EncoderConfig(kind="conformer", layers=1, width=16, heads=2, feed_forward=16, kernel=3, positions="relative")


def model_of(width: int = 12, **changed) -> SpeechModel:
    torch.manual_seed(3)
    decoder = {"layers": 2, "heads": 3, "feed_forward": 20, "embedding_norm": True, "prompt": (4, 5)}
    decoder |= {"positions": "learned", "places": 40}
    config = ModelConfig(
        SubsamplingConfig(4, 4), encoder=ENCODER, decoder=DecoderConfig(**decoder), decoder_width=width, **changed
    )
    return SpeechModel(FeatureConfig(), config, len(TABLE)).eval()


@torch.inference_mode()
def test_the_decoder_listens_through_the_projection():
    model = model_of()
    memory = model.encode(*pad_samples(sounds(0.5)))
    assert memory.encoded.shape[2] == 16 and memory.values.shape[2] == model.decoder_width == 12
    assert torch.equal(memory.values, model.projection(memory.encoded))
    both = model_of(ctc=True, count_tokens=True, reverse_layers=1)
    memory = both.encode(*pad_samples(sounds(0.5)))
    assert both.ctc_log_probs(memory).shape[2] == len(TABLE) and memory.values.shape[2] == 12
    reverse = both.reverse_decoder
    assert reverse(torch.tensor([[[2, 4]]]), reverse.start(memory.values, memory.mask))[0].isfinite().all()
    plain = SpeechModel(FeatureConfig(), ModelConfig(), len(TABLE))
    assert plain.projection is None and plain.decoder_width == plain.config.encoder.width


@torch.inference_mode()
def test_embeddings_are_normalised_behind_their_positions():
    decoder = model_of().decoder
    tokens = torch.tensor([[[2, 5, 6]]])
    expected = decoder.embedding(tokens[0]) + decoder.places.weight[4:7]
    expected = torch.nn.functional.layer_norm(
        expected, (12,), decoder.embedding_norm.weight, decoder.embedding_norm.bias
    )
    assert torch.allclose(decoder._embed(tokens, 4), expected, atol=1e-6)


@torch.inference_mode()
def test_padding_and_caching_change_nothing():
    model, (long, short) = model_of(), sounds(0.9, 0.4)
    tokens = torch.tensor([[2, 4, 6, 5]])
    memory = model.encode(*pad_samples([short]))
    whole = model.decode_teacher_forced(memory, tokens).log_softmax(-1)
    batch = model.encode(*pad_samples([long, short]))
    beside = model.decode_teacher_forced(batch, tokens.repeat(2, 1)).log_softmax(-1)
    assert torch.allclose(beside[1], whole[0], atol=1e-5)
    state, steps = model.decoder.start(memory.values, memory.mask), []
    for token in tokens[0]:
        logits, state = model.decoder(token.view(1, 1, 1), state)
        steps.append(logits[0, 0, 0].log_softmax(-1))
    assert torch.allclose(torch.stack(steps), whole[0], atol=1e-5)


@torch.inference_mode()
def test_the_exported_step_gives_the_same():
    model = model_of()
    memory = model.encode(*pad_samples(sounds(0.9, 0.4)))
    step = StepGraph(model, TABLE, DecodeConfig(), places=20)
    cache, tokens = torch.zeros(2, 2, 20, 3, 4), torch.tensor([[4, 5, 2, 6, 7]] * 2)
    log_probs, *_ = step(tokens, cache, cache, *cross_keys_values(model, memory), torch.zeros(2, dtype=torch.long))
    expected = model.decode_teacher_forced(memory, tokens[:, 2:]).log_softmax(-1)
    written = [i for i in range(len(TABLE)) if i not in TABLE.never_written]
    assert torch.allclose(log_probs[:, 2:, written], expected[..., written], atol=1e-5)


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_it_is_saved_loaded_and_searched(quantize, tmp_path):
    save_model(tmp_path / "model", model_of(), TABLE)
    loaded = load_model(tmp_path / "model")
    assert loaded.model.config == model_of().config
    texts = []
    for model in (model_of(), loaded.model):
        recognizer = Recognizer(ready_to_decode(model, quantize), CharacterTokenizer(TABLE), DecodeConfig(beam=3))
        texts.append([results[0].text for results in recognizer.recognize(sounds(0.9, 0.4), timed=True)])
    assert texts[0] == texts[1]


@torch.inference_mode()
def test_all_that_it_passes_through_has_16_bits_on_a_gpu():
    memory = halved(model_of(), torch.bfloat16).encode(*pad_samples(sounds(0.5)))
    assert memory.values.dtype == torch.bfloat16 and memory.values.isfinite().all()


def test_the_projection_and_the_norm_learn():
    model = model_of().train()
    memory = model.encode(*pad_samples(sounds(0.5)))
    model.decode_teacher_forced(memory, torch.tensor([[2, 4, 6]])).log_softmax(-1)[..., 6].sum().backward()
    for parameter in (model.projection.weight, model.decoder.embedding_norm.weight, model.subsampling.out.weight):
        assert float(parameter.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("width", "message"),
    [
        (-2, "model.decoder_width must be at least 1, is -2"),
        (10, "decoder: width 10 must be even and a multiple of heads 3"),
        (1 << 20, "model.decoder_width must be at most 65,536, is 1,048,576"),
    ],
)
def test_widths_that_cannot_be(width, message):
    with pytest.raises(ConfigError, match=message):
        model_of(width)
