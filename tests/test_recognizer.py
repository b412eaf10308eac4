import math

import numpy as np
import pytest
import torch

from asr.decoding.decode_config import DecodeConfig
from asr.decoding.rescoring import COVERAGE, penalise_uncovered
from asr.decoding.search import Hypothesis
from asr.errors import AsrError
from asr.recognition.encoding import encode, grouped
from asr.recognition.recognizer import Recognizer
from tests.conftest import random_model


def sounds(*seconds: float) -> list[np.ndarray]:
    random = np.random.default_rng(2)
    return [random.normal(0, 0.1, int(s * 16000)).astype(np.float32) for s in seconds]


@pytest.mark.parametrize("kind", ["transformer", "conformer", "e_branchformer"])
@pytest.mark.parametrize("beam", [1, 4])
def test_a_batch_changes_no_token(kind, beam, tokenizer):
    model, utterances = random_model(kind), sounds(0.3, 2.0, 1.1, 0.7)
    recognizer = Recognizer(model, tokenizer, DecodeConfig(beam=beam, nbest=beam))
    together = recognizer.recognize(utterances)
    alone = [recognizer.recognize([u])[0] for u in utterances]
    for a, b in zip(together, alone, strict=True):
        assert [r.hypothesis.tokens for r in a] == [r.hypothesis.tokens for r in b]
        for x, y in zip(a, b, strict=True):
            assert np.allclose(x.hypothesis.token_log_probs, y.hypothesis.token_log_probs, atol=1e-5)


def test_small_batches_give_the_same_in_the_order_of_the_input(tokenizer):
    model, utterances = random_model(), sounds(0.3, 2.0, 1.1, 0.7, 1.5)
    whole = Recognizer(model, tokenizer, DecodeConfig(beam=2)).recognize(utterances)
    pieces = Recognizer(model, tokenizer, DecodeConfig(beam=2, batch_seconds=2.2)).recognize(utterances)
    assert [r[0].text for r in whole] == [r[0].text for r in pieces]
    assert len({r[0].text for r in whole}) > 1


def test_groups_stay_within_their_budget():
    assert grouped([5, 4, 4, 3, 3, 1], 10) == [[0, 1], [2, 3], [4, 5]]
    assert grouped([20, 3, 3, 3], 10) == [[0], [1, 2, 3]]
    assert grouped([], 10) == []


@pytest.mark.parametrize("kind", ["transformer", "conformer", "e_branchformer"])
def test_encoding_a_few_at_a_time_changes_nothing(kind, monkeypatch):
    model, utterances = random_model(kind), sounds(2.0, 1.1, 0.7, 0.3)
    memories = []
    for seconds in (0.1, 2.5, 100.0):
        monkeypatch.setattr("asr.recognition.encoding.CPU_GROUP", seconds)
        with torch.inference_mode():
            memories.append(encode(model, utterances))
    for memory in memories[:2]:
        assert torch.equal(memory.lengths, memories[2].lengths)
        for a, b, length in zip(memory.values, memories[2].values, memory.lengths.tolist(), strict=True):
            assert torch.allclose(a[:length], b[:length], atol=1e-5)


def test_greedy_equals_the_argmax_of_the_teacher_forced_pass(tokenizer):
    model, [utterance] = random_model(), sounds(1.0)
    [[result]] = Recognizer(model, tokenizer, DecodeConfig(beam=1, ctc_weight=0)).recognize([utterance])
    tokens = result.hypothesis.tokens
    memory = model.encode(torch.from_numpy(utterance)[None], torch.tensor([len(utterance)]))
    log_probs = model.decode_teacher_forced(memory, torch.tensor([[2, *tokens]]))[0].log_softmax(-1)
    log_probs[:, [0, 1, 2]] = -torch.inf  # blank, unk and sos are no text
    best, ids = log_probs.max(-1)
    n = len(result.hypothesis.token_log_probs)
    assert ids[:n].tolist() == [*tokens, 3][:n]
    assert np.allclose(best[:n].detach(), result.hypothesis.token_log_probs, atol=1e-5)


def test_special_tokens_never_appear(tokenizer):
    model = random_model()
    with torch.no_grad():
        model.decoder.out.bias[:3] += 100
    for nbest in Recognizer(model, tokenizer, DecodeConfig(beam=3, nbest=3)).recognize(sounds(0.5, 1.0)):
        for result in nbest:
            assert not set(result.hypothesis.tokens) & {0, 1, 2, 3}


def test_training_mode_is_restored_and_no_gradient_is_kept(tokenizer):
    model = random_model().train()
    Recognizer(model, tokenizer).recognize(sounds(0.5))
    assert model.training


def test_weights_that_give_no_numbers_are_told(tokenizer):
    model = random_model()
    torch.nn.init.constant_(model.decoder.out.bias, torch.nan)
    with pytest.raises(AsrError, match="the model's scores are no numbers: its weights are damaged"):
        Recognizer(model, tokenizer, DecodeConfig(beam=2)).recognize(sounds(0.5))


def test_audio_of_a_few_samples_is_decoded(tokenizer):
    [[result]] = Recognizer(random_model(), tokenizer).recognize([np.zeros(5, np.float32)])
    assert isinstance(result.text, str)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("beam", [1, 4])
def test_a_gpu_gives_the_same_tokens(beam, tokenizer):
    model, utterances = random_model("conformer"), sounds(0.3, 2.0, 1.1)
    on_cpu = Recognizer(model, tokenizer, DecodeConfig(beam=beam)).recognize(utterances)
    on_gpu = Recognizer(model.cuda(), tokenizer, DecodeConfig(beam=beam)).recognize(utterances)
    assert [n[0].hypothesis.tokens for n in on_cpu] == [n[0].hypothesis.tokens for n in on_gpu]


def test_the_coverage_penalty_by_hand():
    """Two frames read off fully and half, a third beyond the audio; the second hypothesis reads only one frame."""
    config = DecodeConfig(beam=2, nbest=2, length_power=0.0, coverage_weight=2.0)
    first = Hypothesis((5,), -3.0, (-1.0, -2.0), {"decoder": -3.0})
    second = Hypothesis((6,), -2.9, (-1.0, -1.9), {"decoder": -2.9})
    attention = {
        5: torch.tensor([[[0.9, 0.1, -1.0], [0.6, 0.4, -1.0]]]),
        6: torch.tensor([[[1.0, 0.0, -1.0], [1.0, 0.0, -1.0]]]),
    }
    (ranked,) = penalise_uncovered([[second, first]], lambda best: attention[best[0].tokens[0]], config)
    assert [h.tokens for h in ranked] == [(5,), (6,)]
    assert ranked[0].score == pytest.approx(-3.0 + 2 * math.log(0.5))
    assert ranked[1].scores[COVERAGE] == pytest.approx(math.log(1e-4)) and ranked[1].score < -20


def test_coverage_ranks_the_same_hypotheses(tokenizer):
    utterances, model = sounds(1.5, 0.7), random_model("conformer")
    plain = Recognizer(model, tokenizer, DecodeConfig(beam=4, nbest=4, redecode=False)).recognize(utterances)
    covered = DecodeConfig(beam=4, nbest=4, redecode=False, coverage_weight=0.2)
    for before, after in zip(plain, Recognizer(model, tokenizer, covered).recognize(utterances), strict=True):
        assert {r.hypothesis.tokens for r in before} == {r.hypothesis.tokens for r in after}
        assert all(r.hypothesis.scores[COVERAGE] <= 0 for r in after)
        scores = [r.hypothesis.score for r in after if r.hypothesis.complete]
        assert scores == sorted(scores, reverse=True)
