import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from asr.errors import ConfigError
from asr.features.augment import AugmentConfig
from asr.features.fbank import FeatureConfig, pad_samples
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.layers import Attention, Dropout, length_mask, sinusoids, sinusoids_at
from asr.model.model import Memory, ModelConfig, SpeechModel, consistency_loss, log_probs_of_sounds
from asr.model.subsampling import (
    LAYOUTS,
    OVER_TIME,
    ConvolutionBlock,
    Subsampling,
    SubsamplingConfig,
    SubsamplingOverTime,
)
from asr.text.tokenizer import IGNORED
from tests.conftest import random_model

KINDS = ["transformer", "conformer"]


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


@pytest.mark.parametrize("factor", LAYOUTS)
def test_length_formula_equals_the_convolutions(factor):
    config = SubsamplingConfig(factor, channels=2)
    subsampling = Subsampling(config, 80, 4)
    for T in range(config.shortest_input, 60):
        x, lengths = subsampling(torch.randn(1, T, 80), torch.tensor([T]))
        assert x.shape[1] == lengths.item() == config.length(T)
    assert config.length(config.shortest_input) == 1
    assert config.shortest_input == 1 or config.length(config.shortest_input - 1) == 0


def test_length_formula_by_hand():
    assert [SubsamplingConfig(factor, 2).length(100) for factor in (4, 6, 8)] == [24, 15, 11]
    assert [SubsamplingConfig(factor, 2).shortest_input for factor in (4, 6, 8)] == [7, 11, 15]


BLOCKS = (ConvolutionBlock(3, 5, 2, 2, True), ConvolutionBlock(4, 3, 1), ConvolutionBlock(2, 1, 2, shortcut=True))


@torch.inference_mode()
def test_convolutions_one_by_one():
    """Two of width 5, one of width 3, one of width 1; edges are reflected, so that only the strides shorten: 23 → 12 → 6."""
    config = SubsamplingConfig(4, 64, reflect=True, norm=True, given=BLOCKS)
    assert (
        [c for c, _, _ in config.convolutions] == [3, 3, 4, 2] and config.length(23) == 6 and config.first_centre == 0
    )
    torch.manual_seed(1)
    subsampling = Subsampling(config, 16, 8).eval()
    x = torch.randn(2, 23, 16)
    together, lengths = subsampling(x, torch.tensor([23, 17]))
    alone, _ = subsampling(x[1:, :17], torch.tensor([17]))
    assert lengths.tolist() == [6, 5] and torch.allclose(together[1, :5], alone[0], atol=1e-6)
    shortcut = subsampling.shortcuts[0]
    with_it = subsampling(x, torch.tensor([23, 17]))[0]
    torch.nn.init.zeros_(shortcut.norm.weight)
    torch.nn.init.zeros_(shortcut.norm.bias)
    assert not torch.allclose(subsampling(x, torch.tensor([23, 17]))[0], with_it)


@torch.inference_mode()
@pytest.mark.parametrize("factor", OVER_TIME)
def test_convolutions_over_time_see_zeros_beyond_each_utterance(factor):
    """By torch's own, with an utterance alone; 23 frames give 23, 12 and 6, and the first memory frame is around the first."""
    config = SubsamplingConfig(factor, 64, over_time=True)
    torch.manual_seed(1)
    subsampling = SubsamplingOverTime(config, 16, 8).eval()
    x = torch.randn(2, 23, 16)
    together, lengths = subsampling(x, torch.tensor([23, 17]))
    expected = x[1:, :17].transpose(1, 2)
    for layer, (_, _, stride) in zip(subsampling.convolutions, config.convolutions, strict=True):
        expected = F.gelu(F.conv1d(expected, layer.weight, layer.bias, stride, padding=1))
    assert lengths.tolist() == [config.length(23), config.length(17)] == [-(-23 // factor), -(-17 // factor)]
    assert torch.allclose(together[1, : lengths[1]], expected[0].T, atol=1e-6)
    assert (config.first_centre, config.shortest_input) == (0, 1)
    assert subsampling(x[:, :0], torch.tensor([0, 0]))[0].shape[1] == 1


def test_impossible_convolutions_are_refused():
    with pytest.raises(ConfigError, match="model.subsampling must be one of 1, 2, 4, is 6"):
        ModelConfig(subsampling=6, over_time=True)
    with pytest.raises(ConfigError, match="model.over_time has no blocks, norms, reflected edges or extra frames"):
        ModelConfig(over_time=True, extra_frames=6)
    with pytest.raises(ConfigError, match="model.subsampling 6 must be the product of the blocks' strides, 4"):
        ModelConfig(subsampling=6, blocks=BLOCKS, subsampling_reflect=True, subsampling_norm=True)
    with pytest.raises(
        ConfigError, match="a shortcut needs a norm, and reflected edges where kernels are wider than 1"
    ):
        ModelConfig(blocks=BLOCKS, subsampling_norm=True)
    with pytest.raises(ConfigError, match="model.blocks: kernel must be at least 1, is 0"):
        ConvolutionBlock(3, 0)
    with pytest.raises(
        ConfigError, match="model.subsampling_activation must be one of relu, leaky_relu, gelu, swish, is 'elu'"
    ):
        ModelConfig(subsampling_activation="elu")
    with pytest.raises(ConfigError, match="model.subsampling 8 leaves nothing of 2 mel bins"):
        Subsampling(SubsamplingConfig(8, 4, reflect=True), 2, 8)


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


def whisper_like(window: float = 0.0) -> SpeechModel:
    """A small model with learned positions and a prompt of three tokens."""
    torch.manual_seed(0)
    encoder = EncoderConfig(layers=2, width=16, heads=2, feed_forward=32, positions="learned", places=50)
    decoder = DecoderConfig(
        layers=2, heads=2, feed_forward=32, tied=True, positions="learned", places=12, prompt=(20, 21, 22)
    )
    config = ModelConfig(2, over_time=True, encoder=encoder, decoder=decoder)
    return SpeechModel(FeatureConfig(kind="stft", window_seconds=window), config, 24).eval()


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
        m.decoder.attention(t, m.decoder.start(memory.values, memory.mask), [1])
        for m, t in ((model, texts), (without, whole))
    ]
    assert torch.allclose(attention[0], attention[1][:, :, 3:], atol=1e-6)


@torch.inference_mode()
def test_heads_that_are_known_to_listen_where_a_token_is_are_taken():
    model = random_model()
    memory, tokens = model.encode(*pad_samples(sounds(0.9, 0.5))), torch.tensor([[2, 5, 9, 7], [2, 6, 6, 8]])
    state = model.decoder.start(memory.values, memory.mask)
    every = model.decoder.attention(tokens, state, [0, 1])  # two layers of two heads
    assert torch.equal(model.decoder.listening(tokens, state, [1]), every[:, 2:])
    assert torch.equal(model.decoder.attended(tokens, state), every[:, 2:].mean(1))
    model.decoder.alignment_heads = ((1, 0), (0, 1))
    assert torch.equal(model.decoder.listening(tokens, state, [1]), every[:, [2, 1]])
    assert torch.equal(model.decoder.attended(tokens, state), every[:, [2, 1]].mean(1))


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
        loss = model.losses(*batch, augmentation=AugmentConfig(volume=0.1)).total
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


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    model = random_model(kind).train()
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    inputs = torch.tensor([[2, 5, 6], [2, 7, 3]])
    targets = torch.tensor([[5, 6, 3], [7, 3, IGNORED]])
    losses = model.losses(samples, lengths, inputs, targets, label_smoothing=0.1, ctc_weight=0.3)
    losses.total.backward()
    assert torch.allclose(losses.total, 0.7 * losses.attention + 0.3 * losses.ctc)
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in silent if not n.endswith("key.bias")] == []  # softmax cancels a bias common to all keys


def test_loss_of_a_uniform_model_is_the_log_of_the_vocabulary():
    model = random_model(vocabulary=24).train()
    torch.nn.init.zeros_(model.decoder.out.weight)
    torch.nn.init.zeros_(model.decoder.out.bias)
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    losses = model.losses(samples, lengths, torch.tensor([[2, 5], [2, 3]]), torch.tensor([[5, 3], [3, IGNORED]]))
    assert losses.total.item() == pytest.approx(torch.tensor(24.0).log().item(), abs=1e-5)
    assert losses.ctc is None


def test_padded_targets_do_not_count():
    model = random_model()
    samples, lengths = pad_samples(sounds(1.0))
    short = model.losses(samples, lengths, torch.tensor([[2, 5]]), torch.tensor([[5, 3]]), ctc_weight=0.5)
    long = model.losses(
        samples, lengths, torch.tensor([[2, 5, 3, 3]]), torch.tensor([[5, 3, IGNORED, IGNORED]]), ctc_weight=0.5
    )
    assert torch.allclose(short.total, long.total, atol=1e-6)


def test_what_homophones_get_is_added_up():
    log_probs = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]]).log()
    sounds = log_probs_of_sounds(log_probs, torch.tensor([0, 1, 2, 1]))
    assert torch.allclose(sounds.exp(), torch.tensor([[[0.1, 0.6, 0.3], [0.7, 0.2, 0.1]]]))


def test_the_ctc_loss_of_syllables():
    model = random_model(vocabulary=24)
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    batch = (samples, lengths, torch.tensor([[2, 5, 6], [2, 7, 3]]), torch.tensor([[5, 6, 3], [7, 3, IGNORED]]))

    def ctc(syllables: torch.Tensor, share: float) -> float:
        return model.losses(*batch, ctc_weight=0.5, syllables=syllables, syllable_share=share).ctc.item()

    characters = model.losses(*batch, ctc_weight=0.5).ctc.item()
    apart, alike = (
        torch.arange(24).flip(0),
        torch.arange(24).clamp(max=4),
    )  # all its own sound; none but the special ones
    assert ctc(apart, 1.0) == pytest.approx(characters, rel=1e-5)
    assert ctc(alike, 1.0) < characters == pytest.approx(ctc(alike, 0.0))
    assert ctc(alike, 0.25) == pytest.approx(0.75 * characters + 0.25 * ctc(alike, 1.0), rel=1e-5)


def test_how_far_two_views_are_apart():
    log_probs = torch.tensor([[[0.5, 0.5], [0.9, 0.1]], [[0.25, 0.75], [0.1, 0.9]]]).log().requires_grad_()
    loss = consistency_loss(log_probs, torch.tensor([1, 1]), torch.tensor([2, 1]))
    there = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    back = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert loss.item() == pytest.approx((there + back) / 3)
    loss.backward()  # to the log-probabilities of one view: minus the probabilities of the other, and nothing else
    assert torch.allclose(log_probs.grad[:, 0], torch.tensor([[-0.25, -0.75], [-0.5, -0.5]]) / 3)
    assert not log_probs.grad[:, 1].any()


def test_two_views_that_are_one_cost_nothing():
    model = random_model(vocabulary=24).eval()
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    batch = (samples, lengths, torch.tensor([[2, 5, 6], [2, 7, 3]]), torch.tensor([[5, 6, 3], [7, 3, IGNORED]]))
    plain = model.losses(*batch, ctc_weight=0.5)
    twice = model.losses(*batch, ctc_weight=0.5, consistency=0.2)
    assert twice.ctc.item() == pytest.approx(plain.ctc.item(), rel=1e-5)
    assert twice.total.item() == pytest.approx(plain.total.item(), rel=1e-5)

    def of_differing(consistency: float) -> float:
        torch.manual_seed(1)
        return model.losses(
            *batch, ctc_weight=0.5, consistency=consistency, augmentation=AugmentConfig(volume=1.0)
        ).ctc.item()

    assert of_differing(0.2) < of_differing(0.4)
    assert of_differing(0.4) - of_differing(0.2) == pytest.approx(of_differing(0.6) - of_differing(0.4), rel=1e-3)


def test_audio_shorter_than_a_memory_frame_is_encoded():
    model = random_model()
    samples, lengths = pad_samples(sounds(0.01), shortest=model.shortest_samples)
    assert model.encode(samples, lengths).values.shape[1] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EncoderConfig(width=30, heads=4), "encoder: width 30 must be even and a multiple of heads 4"),
        (lambda: EncoderConfig(kind="conformr"), "encoder.kind must be one of transformer, conformer, is 'conformr'"),
        (lambda: EncoderConfig(kernel=4), "encoder.kernel must be odd, is 4"),
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
        (lambda: ModelConfig(channels=0), "model.channels must be at least 1, is 0"),
        (lambda: ModelConfig(encoder=EncoderConfig(width=64), decoder=DecoderConfig(heads=3)), "decoder: width 64"),
        (
            lambda: SpeechModel(FeatureConfig(), ModelConfig(subsampling=5), 10),
            "subsampling must be one of 1, 2, 4, 6, 8, is 5",
        ),
        (
            lambda: SpeechModel(FeatureConfig(n_mels=10), ModelConfig(subsampling=8), 10),
            "leaves nothing of 10 mel bins",
        ),
    ],
)
def test_impossible_sizes_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def counting_model():
    """A small model whose frames tell the decoder how many tokens its CTC head has heard."""
    model = random_model()
    counting = SpeechModel(FeatureConfig(), dataclasses.replace(model.config, count_tokens=True), 24).eval()
    counting.load_state_dict(model.state_dict())
    return counting


def test_frames_carry_the_number_of_tokens_heard():
    """With a head that is sure of tokens in the frames 1, 2 and 4 of six, these are the places 0, 1 and 2."""
    model = counting_model()
    heard = torch.tensor([0.0, 1, 1, 0, 1, 0])
    with torch.no_grad():
        model.ctc.weight.zero_()
        model.ctc.weight[0, 0] = 1.0
        model.ctc.bias.zero_()
    encoded = torch.zeros(1, 6, 16)
    encoded[0, :, 0] = torch.where(heard > 0, -60.0, 60.0)  # the logit of the blank
    told = model._with_counts(encoded) - encoded
    assert torch.allclose(told[0], sinusoids_at(torch.tensor([-1.0, 0, 1, 1, 2, 2]), 16), atol=1e-4)


def test_counting_is_not_disturbed_by_padding():
    model, utterances = counting_model(), sounds(0.5, 1.0)
    samples, lengths = pad_samples(utterances)
    with torch.no_grad():
        together = model.encode(samples, lengths)
        alone = model.encode(samples[:1, : lengths[0]], lengths[:1])
    n = int(alone.lengths)
    assert torch.allclose(together.values[:1, :n], alone.values, atol=1e-4)
    assert not torch.allclose(alone.values, alone.encoded)


def test_counting_needs_a_ctc_head():
    with pytest.raises(ConfigError, match="model.count_tokens needs the head that counts: set model.ctc = true"):
        ModelConfig(count_tokens=True)


def test_guesses_take_the_place_of_a_share_of_the_tokens():
    """A decoder that is sure of token 7 whatever it hears guesses it everywhere."""
    model = random_model()
    with torch.no_grad():
        model.decoder.out.bias[7] = 1000.0
    inputs = torch.full((400, 20), 5)
    inputs[:, 0] = 2
    samples, lengths = pad_samples(sounds(0.3))
    with torch.no_grad():
        one = model.encode(samples, lengths)
    memory = Memory(one.values.expand(400, -1, -1), one.lengths.expand(400), one.encoded.expand(400, -1, -1))
    torch.manual_seed(0)
    guessed = model._with_guesses(memory, inputs, 0.4)
    assert (guessed[:, 0] == 2).all() and set(guessed[:, 1:].unique().tolist()) == {5, 7}
    shares = (guessed[:, 1:] == 7).float().mean(1)
    assert shares.mean() == pytest.approx(0.4, abs=0.04)
    assert shares.min() < 0.05 and shares.max() > 0.75  # some utterances are left alone, others hardly recognised


def test_guesses_are_drawn_by_what_the_decoder_expects():
    model = random_model(vocabulary=6)
    with torch.no_grad():
        model.decoder.out.weight.zero_()
        model.decoder.out.bias.copy_(torch.tensor([0.5, 0, 0, 0.25, 0, 0.25]).log())
    memory = model.encode_features(torch.randn(200, 24, 80), torch.full((200,), 24))
    guessed = model._with_guesses(memory, torch.full((200, 50), 1), 5.0)[:, 1:]  # nearly all of them
    shares = torch.bincount(guessed[guessed != 1], minlength=6) / (guessed != 1).sum()
    assert shares.tolist() == pytest.approx([0.5, 0, 0, 0.25, 0, 0.25], abs=0.03)
