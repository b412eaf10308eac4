"""Hypotheses that do not follow the audio are noticed, decoded again in pieces, and marked."""

import numpy as np
import pytest
import torch

from asr.decoding.beam import LIMIT_REACHED, LOOPING
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.search import Hypothesis
from asr.features.fbank import pad_samples
from asr.recognition.guards import (
    REPEATS,
    SHORTENED,
    STANDS_STILL,
    cut_in_two,
    cut_to_fit,
    forward_tokens,
    has_loop,
    one_copy,
    reasons_to_doubt,
    shortened,
    stands_still,
)
from asr.recognition.joining import join
from asr.recognition.recognizer import Recognizer
from tests.conftest import random_model
from tests.test_recognizer import sounds


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        ([5] * 12, True),
        ([5] * 11, False),
        ([1, 2, 3] + [5, 6] * 6 + [1], True),
        ([5, 6] * 5 + [5], False),
        ([1, 2, 3, 4] * 4, True),
        ([1, 2, 3, 4] * 3, False),
        (list(range(8)) * 4, True),
        ([724, 116, 298, 237, 724, 116, 298, 237, 303] * 4, True),  # 游戏游戏的, written from bytes
        (list(range(24)) * 4, True),
        (list(range(25)) * 4, False),
        ([], False),
    ],
)
def test_loops(tokens, found):
    assert has_loop(tokens) is found


def attention(frames: list[float], length: int = 100) -> np.ndarray:
    """(U, L), all of each token's attention on one frame."""
    return np.eye(length, dtype=np.float32)[frames]


def test_attention_that_stands_still():
    assert not stands_still(attention(list(range(0, 60, 4))), 0.04)  # 0.16 s a token
    assert stands_still(attention([4, 8, 12] + [20] * 12), 0.04)
    assert not stands_still(attention([20] * 11), 0.04)
    assert stands_still(attention([20 + n for n in range(12)]), 0.04)  # 0.44 s for twelve tokens
    assert not stands_still(attention([20 + 2 * n for n in range(12)]), 0.04)


def test_reasons():
    fine = Hypothesis(tuple(range(12)), -1.0, (-0.1,) * 13)
    assert reasons_to_doubt(fine, attention(list(range(0, 48, 4))), 0.04) == ()
    assert reasons_to_doubt(fine, attention([7] * 12), 0.04) == (STANDS_STILL,)
    loop = Hypothesis((3,) * 12, -1.0, (-0.1,) * 12, complete=False, warnings=(LIMIT_REACHED,))
    assert reasons_to_doubt(loop, None, 0.04) == (LIMIT_REACHED, REPEATS)


@pytest.mark.parametrize(
    ("tokens", "length"),
    [
        ([1, 2, 3] + [5] * 20, 4),
        ([1, 2] + [5, 6] * 8 + [5], 4),
        ([5, 6] * 3, 6),  # three copies of two may have been said
        (list(range(10)) * 5, 10),
        (list(range(10)) * 2 + [0, 1, 2], 10),  # the last copy was cut off
        ([7] + list(range(10)) + list(range(9)), 20),  # less than two copies
        ([5] * 20 + [1, 2, 3], 23),  # it went on behind them
        ([], 0),
    ],
)
def test_one_copy_of_what_the_end_repeats(tokens, length):
    assert one_copy(tokens) == length


def test_tokens_while_attention_goes_forward():
    forward = list(range(0, 60, 4))
    assert forward_tokens(attention(forward), 0.04) == 15
    assert forward_tokens(attention(forward + [56] * 12), 0.04) == 15
    assert forward_tokens(attention(forward + forward[:12]), 0.04) == 15  # once more from the start
    assert forward_tokens(attention(forward + [56] * 11), 0.04) == 26  # too few to be sure
    assert forward_tokens(np.zeros((0, 100), np.float32), 0.04) == 0


def test_a_shortened_hypothesis_says_so_and_keeps_what_was_said():
    copies = Hypothesis(tuple(range(10)) * 5, -0.2, (-0.1,) * 50, complete=False, warnings=(LIMIT_REACHED,))
    short = shortened(copies, None, 0.02)
    assert short.tokens == tuple(range(10)) and short.token_log_probs == (-0.1,) * 10 and not short.complete
    assert short.score == pytest.approx(-0.1) and short.warnings == (LIMIT_REACHED, SHORTENED)
    fine = Hypothesis(tuple(range(15)), -0.2, (-0.1,) * 16)
    assert shortened(fine, attention(list(range(0, 60, 4))), 0.04) is fine


def test_audio_is_cut_at_its_quietest_place():
    samples = np.ones(64000, np.float32)
    samples[38000:42000] = 0
    first, second = cut_in_two(samples, 16000)
    assert 38000 <= len(first) <= 42000 and len(first) + len(second) == 64000
    assert cut_in_two(samples[:31000], 16000) is None


@pytest.mark.parametrize(("seconds", "longest", "parts"), [(7.3, 3.0, 4), (7.3, 8.0, 1), (1.5, 1.0, 2), (5.0, None, 1)])
def test_parts_that_fit_are_all_of_the_audio(seconds, longest, parts):
    samples = np.random.default_rng(0).normal(size=int(seconds * 16000)).astype(np.float32)
    found = cut_to_fit(samples, 16000, longest and int(longest * 16000))
    assert len(found) == parts and np.array_equal(np.concatenate(found), samples)
    assert longest is None or max(map(len, found)) <= longest * 16000


@pytest.mark.parametrize("n", [32000, 33000, 40000])
@pytest.mark.parametrize("quiet", [0.2, 0.5, 0.8])
def test_no_piece_is_shorter_than_a_second(n, quiet):
    samples = np.ones(n, np.float32)
    samples[int(quiet * n) : int(quiet * n) + 1600] = 0
    first, second = cut_in_two(samples, 16000)
    assert min(len(first), len(second)) >= 16000 and len(first) + len(second) == n


def test_joined_hypotheses_say_why():
    a = Hypothesis((4, 5), -0.5, (-0.1, -0.2, -0.3), {"decoder": -0.6})
    b = Hypothesis((6,), -1.0, (-0.4, -0.6), {"decoder": -1.0, "ctc": -2.0}, False, (LOOPING,))
    joined = join(a, b, (LIMIT_REACHED,))
    assert joined.tokens == (4, 5, 6) and joined.token_log_probs == (-0.1, -0.2, -0.4, -0.6)
    assert joined.score == pytest.approx((-0.5 * 3 - 1.0 * 2) / 5)
    assert joined.scores == {"ctc": -2.0, "decoder": -1.6} and not joined.complete
    assert joined.warnings == (f"decoded again in pieces: {LIMIT_REACHED}", LOOPING)


def test_attended_is_what_the_last_layer_looks_at():
    """Each row is a distribution over the real frames, and follows the audio it is given."""
    model = random_model()
    samples, lengths = pad_samples(sounds(1.0, 0.5))
    with torch.inference_mode():
        memory = model.encode(samples, lengths)
        state = model.decoder.start(memory.values, memory.mask)
        attended = model.decoder.mean_alignment(torch.tensor([[2, 5, 9], [2, 6, 6]]), state)
    assert attended.shape == (2, 3, memory.values.shape[1])
    assert torch.allclose(attended.sum(-1), torch.ones(2, 3))
    assert attended[1, :, int(memory.lengths[1]) :].abs().max() == 0


LISTED = (((7,) * 14, -0.1), ((5, 6, 7), -0.2), ((5, 6), -0.3))
"""Tokens and score of three hypotheses, the first of which repeats itself."""


def looping_model():
    """A model that says the same token for ever."""
    model = random_model()
    with torch.no_grad():
        model.decoder.out.bias[7] += 100
    return model


def test_what_loops_is_decoded_again_in_pieces_and_marked(tokenizer):
    [[result]] = Recognizer(looping_model(), tokenizer).recognize(sounds(4.5))
    pieces = [w for w in result.hypothesis.warnings if w.startswith("decoded again in pieces: ")]
    assert pieces and len(set(result.hypothesis.warnings)) == len(result.hypothesis.warnings)
    [[left]] = Recognizer(looping_model(), tokenizer, DecodeConfig(redecode=False)).recognize(sounds(4.5))
    assert left.hypothesis.warnings[0] == LOOPING and not any("pieces" in w for w in left.hypothesis.warnings)


def test_what_speechbrains_search_leaves_out_at_the_limit_is_lost_to_nobody(tokenizer):
    """Its last token is not written: it is stopped at the limit all the same, then cut down or decoded again in pieces."""
    config = DecodeConfig(beam=2, rule="speechbrain", ctc_weight=0.0, stop_loops=False)
    [[short]] = Recognizer(looping_model(), tokenizer, config).recognize(sounds(1.0))
    assert short.hypothesis.tokens == (7,) and short.hypothesis.warnings == (
        LIMIT_REACHED,
        REPEATS,
        STANDS_STILL,
        SHORTENED,
    )
    [[long]] = Recognizer(looping_model(), tokenizer, config).recognize(sounds(3.0))
    assert f"decoded again in pieces: {LIMIT_REACHED}" in long.hypothesis.warnings


def test_nothing_that_a_guard_doubts_wins_over_what_it_does_not(tokenizer, monkeypatch):
    """Whatever their scores: what has no doubt against it comes first, and neither is decoded again."""
    loop, fine, other = (Hypothesis(tokens, score, (-0.1,) * 15) for tokens, score in LISTED)
    monkeypatch.setattr("asr.recognition.recognizer.beam_search", lambda *_, **__: [[loop, fine, other]])
    config = DecodeConfig(nbest=3)
    [nbest] = Recognizer(random_model(), tokenizer, config).recognize(sounds(1.5))
    assert [r.hypothesis.tokens for r in nbest] == [fine.tokens, other.tokens, loop.tokens]
    assert not nbest[0].hypothesis.warnings


def test_what_cannot_be_cut_ends_after_one_copy(tokenizer, monkeypatch):
    """A clip too short for pieces, and no hypothesis without a doubt."""
    copies = Hypothesis(LISTED[0][0], -0.1, (-0.1,) * 15)
    monkeypatch.setattr("asr.recognition.recognizer.beam_search", lambda *_, **__: [[copies]])
    [[short]] = Recognizer(random_model(), tokenizer).recognize(sounds(1.5))
    assert short.hypothesis.tokens == (7,) and short.hypothesis.warnings[-1] == SHORTENED
    [[left]] = Recognizer(random_model(), tokenizer, DecodeConfig(redecode=False)).recognize(sounds(1.5))
    assert left.hypothesis.tokens == copies.tokens and SHORTENED not in left.hypothesis.warnings


def test_what_is_fine_is_left_alone(tokenizer):
    """A batch in which only one utterance loops."""
    model, utterances = random_model(), sounds(0.5, 1.0)
    plain = Recognizer(model, tokenizer, DecodeConfig(redecode=False, stop_loops=False)).recognize(utterances)
    guarded = Recognizer(model, tokenizer).recognize(utterances)
    for a, b in zip(plain, guarded, strict=True):
        if not b[0].hypothesis.warnings:
            assert a[0].text == b[0].text
