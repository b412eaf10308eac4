import dataclasses

import pytest
import torch

from asr.errors import ConfigError
from asr.features.augment import AugmentConfig
from asr.features.fbank import FeatureConfig, pad_samples
from asr.features.utterance import length_mask
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.layers import Attention, Dropout, sinusoids
from asr.model.model import ModelConfig, SpeechModel
from asr.model.subsampling import (
    LAYOUTS,
    SubsamplingConfig,
)
from asr.text.tokenizer import IGNORED
from tests.conftest import random_model
from tests.runs import losses_with

KINDS = ["transformer", "conformer", "e_branchformer"]


def sounds(*seconds: float) -> list:
    random = torch.Generator().manual_seed(1)
    return [(torch.randn(int(s * 16000), generator=random) * 0.1).numpy() for s in seconds]


@pytest.mark.parametrize("mask", ["none", "real", "added"])
def test_attention_with_gradients_in_bfloat16_is_that_of_torch(mask):
    torch.manual_seed(0)
    attention, x, source = Attention(16, 2), torch.randn(3, 5, 16), torch.randn(3, 7, 16)
    real = torch.rand(3, 1, 1, 7) < 0.7
    real[..., 0] = True
    masks = {"none": None, "real": real, "added": torch.where(real, 0.0, -torch.inf)}
    expected = attention(x, attention.keys_values(source), masks[mask])
    with torch.autocast("cpu", torch.bfloat16):
        given = attention(x, attention.keys_values(source), masks[mask])
    assert given.dtype == torch.bfloat16 and given.float().sub(expected).abs().max() < 0.02
    gradients = [torch.autograd.grad(out.float().pow(2).sum(), attention.query.weight)[0] for out in (given, expected)]
    assert torch.allclose(*gradients, atol=0.1 * gradients[1].abs().max().item())


def test_masks_and_positions_by_hand():
    assert length_mask(torch.tensor([1, 3]), 3).tolist() == [[True, False, False], [True, True, True]]
    table = sinusoids(0, 5, 4, torch.zeros(1))
    assert torch.allclose(table[0], torch.tensor([0.0, 1, 0, 1]))
    assert torch.allclose(
        table[3],
        torch.tensor([3.0, 3, 0.03, 0.03])
        .sin()
        .where(torch.tensor([1, 0, 1, 0]) > 0, torch.tensor([3.0, 3, 0.03, 0.03]).cos()),
    )
    assert torch.equal(sinusoids(2, 3, 4, torch.zeros(1)), table[2:])


def test_dropout_shares_its_mask_along_time():
    dropout = Dropout(0.5)
    torch.manual_seed(0)
    x = dropout.train()(torch.ones(4, 7, 32))
    assert (x == x[:, :1]).all() and set(x.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropout.eval()(x), x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("subsampling", LAYOUTS)
def test_padding_a_batch_moves_log_probabilities_by_less_than_1e_5(kind, subsampling):
    model = random_model(kind, subsampling)
    utterances = sounds(0.4, 1.7, 0.9)
    tokens = torch.tensor([[2, 5, 9, 7]])
    samples, lengths = pad_samples(utterances)
    with torch.inference_mode():
        together = model.decode_teacher_forced(model.encode(samples, lengths), tokens.expand(3, 4)).log_softmax(-1)
        for b, utterance in enumerate(utterances):
            memory = model.encode(torch.from_numpy(utterance)[None], torch.tensor([len(utterance)]))
            alone = model.decode_teacher_forced(memory, tokens).log_softmax(-1)
            assert (together[b] - alone[0]).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_future_does_not_change_the_past(kind):
    model = random_model(kind)
    samples, lengths = pad_samples(sounds(1.0))
    memory = model.encode(samples, lengths)
    first = model.decode_teacher_forced(memory, torch.tensor([[2, 5, 9, 7, 11]]))
    other = model.decode_teacher_forced(memory, torch.tensor([[2, 5, 9, 20, 4]]))
    assert torch.equal(first[:, :3], other[:, :3])
    assert not torch.allclose(first[:, 3:], other[:, 3:])


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1, 1), (2, 1, 3), (6,), (1, 5)])
def test_cached_steps_equal_teacher_forcing(pieces):
    model = random_model()
    samples, lengths = pad_samples(sounds(1.0, 0.5))
    memory = model.encode(samples, lengths)
    tokens = torch.tensor([[2, 5, 9, 7, 11, 4], [2, 6, 6, 8, 20, 21]])
    expected = model.decode_teacher_forced(memory, tokens)
    state = model.decoder.start(memory.values, memory.mask)
    done, found = 0, []
    for n in pieces:
        logits, state = model.decoder(tokens[:, None, done : done + n], state)
        found.append(logits[:, 0])
        done += n
    assert torch.allclose(torch.cat(found, dim=1), expected, atol=1e-5)
    assert state.n_tokens == 6


@torch.inference_mode()
def test_texts_go_on_behind_the_positions_that_are_kept():
    model = random_model()
    tokens = torch.randint(4, 24, (1, 1, 300), generator=torch.Generator().manual_seed(1))
    state = model.decoder.start(torch.ones(1, 3, 16), torch.ones(1, 3, dtype=torch.bool))
    whole, found = model.decoder(tokens, state)[0], []
    for some in tokens.split([250, 5, 1, 1, 43], dim=2):  # 256 are kept
        logits, state = model.decoder(some, state)
        found.append(logits)
    assert torch.allclose(torch.cat(found, dim=2), whole, atol=1e-5)


def whisper_like(window: float = 0.0, tail: float = 0.0) -> SpeechModel:
    """A small model with learned positions, of which there are those of a second, and a prompt of three tokens."""
    torch.manual_seed(0)
    encoder = EncoderConfig(layers=2, width=16, heads=2, feed_forward=32, positions="learned", places=50)
    decoder = DecoderConfig(
        layers=2, heads=2, feed_forward=32, tied=True, positions="learned", places=12, prompt=(20, 21, 22)
    )
    config = ModelConfig(SubsamplingConfig(2, over_time=True), encoder=encoder, decoder=decoder)
    return SpeechModel(FeatureConfig(kind="stft", window_seconds=window, tail_seconds=tail), config, 24).eval()


@torch.inference_mode()
def test_frames_of_the_silence_behind_an_utterance_are_none_of_its_own():
    """It takes places of its own, and is encoded; what is aligned are the frames before it."""
    model, plain = whisper_like(tail=0.2), whisper_like()
    assert (plain.longest_samples, model.longest_samples) == (16000, 12800)
    assert model.encoded_samples(8000) == 8000 + 3200 and plain.encoded_samples(8000) == 8000
    [short] = model.encode(*pad_samples(sounds(0.5)[:1])).lengths.tolist()
    assert model.spoken_frames(short, 8000) == 25 and short == 36  # (1 + 70) / 2, and half a second of 20 ms each


@torch.inference_mode()
@pytest.mark.parametrize("window", [0.0, 1.0])
def test_the_prompt_comes_before_every_text(window):
    """What follows sos is what a decoder without a prompt says behind prompt and sos; step by step, too, and in attention."""
    model = whisper_like(window)
    without = SpeechModel(
        model.log_mel.config,
        dataclasses.replace(model.config, decoder=dataclasses.replace(model.config.decoder, prompt=())),
        24,
    ).eval()
    without.load_state_dict(model.state_dict())
    memory = model.encode(*pad_samples(sounds(0.9, 0.5)))
    texts, prompt = torch.tensor([[2, 5, 9, 7], [2, 6, 6, 8]]), torch.tensor([[20, 21, 22]] * 2)
    whole = torch.cat([prompt, texts], dim=1)
    expected = without.decode_teacher_forced(memory, whole)[:, 3:]
    assert torch.allclose(model.decode_teacher_forced(memory, texts), expected, atol=1e-6)
    state, found = model.decoder.start(memory.values, memory.mask), []
    for token in texts.T:
        logits, state = model.decoder(token[:, None, None], state)
        found.append(logits[:, 0])
    assert torch.allclose(torch.cat(found, dim=1), expected, atol=1e-5) and state.n_tokens == 7
    attention = [
        m.decoder.head_weights(t, m.decoder.start(memory.values, memory.mask), [1])
        for m, t in ((model, texts), (without, whole))
    ]
    assert torch.allclose(attention[0], attention[1][:, :, 3:], atol=1e-6)


@torch.inference_mode()
def test_heads_that_are_known_to_listen_where_a_token_is_are_taken():
    model = random_model()
    memory, tokens = model.encode(*pad_samples(sounds(0.9, 0.5))), torch.tensor([[2, 5, 9, 7], [2, 6, 6, 8]])
    state = model.decoder.start(memory.values, memory.mask)
    every = model.decoder.head_weights(tokens, state, [0, 1])  # two layers of two heads
    assert torch.equal(model.decoder.alignments(tokens, state, [1]), every[:, 2:])
    assert torch.equal(model.decoder.mean_alignment(tokens, state), every[:, 2:].mean(1))
    model.decoder.alignment_heads = ((1, 0), (0, 1))
    assert torch.equal(model.decoder.alignments(tokens, state, [1]), every[:, [2, 1]])
    assert torch.equal(model.decoder.mean_alignment(tokens, state), every[:, [2, 1]].mean(1))


@torch.inference_mode()
def test_a_window_and_learned_positions_leave_a_batch_as_its_utterances_are():
    for window, frames in ((0.0, [46, 26]), (1.0, [50, 50])):
        model, utterances = whisper_like(window), sounds(0.9, 0.5)
        together = model.encode(*pad_samples(utterances))
        assert together.lengths.tolist() == frames
        for b, utterance in enumerate(utterances):
            alone = model.encode(*pad_samples([utterance]))
            assert torch.allclose(together.values[b, : frames[b]], alone.values[0], atol=1e-5)
        assert model.spoken_frames(50, 8000) == (25 if window else 50)


@pytest.mark.parametrize("window", [0.0, 1.0])
def test_a_model_with_a_prompt_learns(window):
    model = whisper_like(window).train()
    batch = (
        *pad_samples(sounds(0.9, 0.5)),
        torch.tensor([[2, 5, 9], [2, 6, 0]]),
        torch.tensor([[5, 9, 3], [6, 3, IGNORED]]),
    )
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.01), []
    for _ in range(30):
        loss = losses_with(model, *batch, augmentation=AugmentConfig(volume=0.1)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None for name, p in model.named_parameters())


def test_hypotheses_do_not_see_each_other_and_can_be_selected():
    """Hypotheses are continued, doubled and dropped at random, utterances leave: each is as if it were alone."""
    model = random_model()
    samples, lengths = pad_samples(sounds(1.0, 0.5, 0.8))
    memory = model.encode(samples, lengths)
    random = torch.Generator().manual_seed(0)
    state = model.decoder.start(memory.values, memory.mask)
    tokens, left = torch.full((3, 1, 1), 2), torch.arange(3)
    for step in range(9):
        with torch.no_grad():
            logits, state = model.decoder(tokens[:, :, -1:], state)
        for b, utterance in enumerate(left.tolist()):
            whole = tokens[b, :, None].expand(-1, 3, -1)  # (N, 3, U): each hypothesis with all three memories
            expected = [model.decode_teacher_forced(memory, whole[n])[utterance, -1] for n in range(tokens.shape[1])]
            assert torch.allclose(logits[b, :, 0], torch.stack(expected), atol=1e-5)
        kept = torch.tensor([0, 2]) if step == 4 else torch.arange(len(left))
        hypotheses = torch.randint(tokens.shape[1], (len(kept), 3), generator=random)
        state, left = state.select(kept, hypotheses), left[kept]
        new = torch.randint(4, 24, (len(kept), 3, 1), generator=random)
        tokens = torch.cat([tokens[kept[:, None], hypotheses], new], dim=2)


def test_audio_shorter_than_a_memory_frame_is_encoded():
    model = random_model()
    samples, lengths = pad_samples(sounds(0.01), shortest=model.shortest_samples)
    assert model.encode(samples, lengths).values.shape[1] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EncoderConfig(width=30, heads=4), "encoder: width 30 must be even and a multiple of heads 4"),
        (
            lambda: EncoderConfig(kind="conformr"),
            "encoder.kind must be one of transformer, conformer, e_branchformer, is 'conformr'",
        ),
        (lambda: EncoderConfig(kernel=4), "encoder.kernel must be odd, is 4"),
        (lambda: EncoderConfig(merge_kernel=4), "encoder.merge_kernel must be odd, is 4"),
        (lambda: EncoderConfig(gate_units=7), "encoder.gate_units must be even, is 7"),
        (
            lambda: EncoderConfig(kind="e_branchformer", norm_first=False),
            "encoder.norm_first = false is not for an e_branchformer, which has no such form",
        ),
        (
            lambda: EncoderConfig(kind="e_branchformer", convolution=False),
            "encoder.convolution = false is not for an e_branchformer, which has no such form",
        ),
        (lambda: EncoderConfig(layers=0), "encoder.layers must be at least 1, is 0"),
        (lambda: DecoderConfig(dropout=1.0), "decoder.dropout must be from 0 to below 1, is 1.0"),
        (lambda: EncoderConfig(places=9), "encoder.places is the number of learned positions: 9 cannot be where"),
        (lambda: DecoderConfig(positions="learned"), "0 cannot be where decoder.positions is 'learned'"),
        (
            lambda: DecoderConfig(layers=2, heads=2, alignment_heads=((0, 1), (1, 2))),
            r"decoder.alignment_heads: \[1, 2\] is no pair of one of 2 layers and 2 heads",
        ),
        (lambda: DecoderConfig(prompt=(5, -1)), "decoder.prompt: -1 is no id of a token"),
        (
            lambda: SpeechModel(FeatureConfig(), ModelConfig(decoder=DecoderConfig(prompt=(10,))), 10),
            "decoder.prompt: 10 is no id of 10 tokens",
        ),
        (lambda: SubsamplingConfig(channels=0), "subsampling.channels must be at least 1, is 0"),
        (lambda: ModelConfig(encoder=EncoderConfig(width=64), decoder=DecoderConfig(heads=3)), "decoder: width 64"),
        (
            lambda: SpeechModel(FeatureConfig(), ModelConfig(SubsamplingConfig(5)), 10),
            "subsampling.factor must be one of 1, 2, 4, 6, 8, is 5",
        ),
        (
            lambda: SpeechModel(FeatureConfig(n_mels=10), ModelConfig(SubsamplingConfig(8)), 10),
            "leaves nothing of 10 mel bins",
        ),
    ],
)
def test_impossible_sizes_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
