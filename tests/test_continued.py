"""Texts whose beginning is known."""

import numpy as np
import pytest

from asr.corpus.toy import CHARACTERS
from asr.decoding.continued import parted
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.hypothesis import Hypothesis
from asr.recognition.guards import IN_PIECES, shortened
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


def guarded(model, known, seconds: float = 6.0):
    """What is found in tones that a network without training reads over and over: the guards cut them in two."""
    recognizer = Recognizer(model, CharacterTokenizer(TABLE), DecodeConfig(beam=1))
    return recognizer.recognize([speech(seconds, seed=5)], known=[known], timed=True)[0][0]


@pytest.mark.parametrize("ctc", [True, False])
def test_what_is_known_is_kept_where_a_text_is_decoded_again_in_pieces(ctc):
    model = random_model(ctc=ctc)
    known = tuple(4 + (7 * i) % 11 for i in range(10))
    for n in (1, 4, 10):
        found = guarded(model, known[:n])
        assert any(warning.startswith(IN_PIECES) for warning in found.hypothesis.warnings)
        assert found.hypothesis.tokens[:n] == known[:n]
        assert len(found.spans) == len(found.hypothesis.tokens)


def test_what_is_known_belongs_to_the_part_in_which_it_is_said():
    assert parted((), 0, 3) == ((), ())
    assert parted((5, 6), 2, 3) == ((5, 6), ())
    assert parted((5, 6, 7), 1, 3) == ((5, 3), (6, 7))
    assert parted((5, 6, 7), 0, 3) == ((3,), (5, 6, 7))
    assert parted((5, 6, 3), 2, 3) == ((5, 6, 3), (3,))
    assert parted((5, 6, 3), 1, 3) == ((5, 3), (6, 3))
    assert parted((3,), 0, 3) == ((3,), (3,))


def test_a_text_that_is_known_to_end_does(model):
    [tokens] = found(model, TALK[:1], known=[(5, 6, TABLE.eos)])
    assert tokens == (5, 6)


def test_what_is_known_is_not_shortened():
    hypothesis = Hypothesis((5, 6) * 8, -1.0, (-1.0,) * 17)
    assert shortened(hypothesis, None, 0.04).tokens == (5, 6)
    assert shortened(hypothesis, None, 0.04, least=5).tokens == (5, 6, 5, 6, 5)
    assert shortened(hypothesis, None, 0.04, least=17) is hypothesis
