"""Texts whose beginning is known."""

import numpy as np
import pytest

from asr.corpus.toy import CHARACTERS
from asr.decoding.decode_config import DecodeConfig
from asr.recognition.recognizer import Recognizer
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from tests.conftest import random_model
from tests.sounds import speech

TABLE = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS])
TALK = [speech(2.0, seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def model():
    return random_model()


def found(model, utterances, beam: int = 1, **more) -> list[tuple[int, ...]]:
    recognizer = Recognizer(model, CharacterTokenizer(TABLE), DecodeConfig(beam=beam, redecode=False))
    return [nbest[0].hypothesis.tokens for nbest in recognizer.recognize(utterances, **more)]


def test_a_text_begins_with_what_is_known_of_it(model):
    [free] = found(model, TALK[:1])
    other = next(token for token in range(4, len(TABLE)) if token != free[0])
    [tokens] = found(model, TALK[:1], known=[(other, other)])
    assert tokens[:2] == (other, other)
    [beams] = found(model, TALK[:1], beam=4, known=[(other, other)])
    assert beams[:2] == (other, other)


def test_what_a_search_would_find_anyway_changes_nothing(model):
    free = found(model, TALK)
    assert all(len(tokens) > 2 for tokens in free)
    assert found(model, TALK, known=[tokens[: i + 1] for i, tokens in enumerate(free)]) == free
    assert found(model, TALK, known=[(), (), ()]) == free


def test_each_utterance_of_a_batch_has_its_own_beginning(model):
    known = [(), (5, 6, 7), (8,)]
    together = found(model, TALK, known=known)
    alone = [found(model, [samples], known=[tokens])[0] for samples, tokens in zip(TALK, known, strict=True)]
    assert together == alone and together[1][:3] == (5, 6, 7) and together[2][:1] == (8,)


def test_lengths_decide_the_batches_and_not_whose_beginning_is_whose(model):
    talk = [np.tile(samples, n) for samples, n in zip(TALK, (1, 3, 2), strict=True)]
    known = [(5,), (6,), (7,)]
    assert [tokens[0] for tokens in found(model, talk, known=known)] == [5, 6, 7]
