"""What the guards and the times of tokens ask the decoder: once for both."""

import numpy as np
import torch

from asr.recognition.encoding import encode
from asr.recognition.listening import NetworkScorer
from tests.conftest import random_model
from tests.test_model import sounds


@torch.inference_mode()
def test_where_tokens_were_listened_for_is_kept_for_the_next_who_ask(tokenizer):
    model = random_model()
    scorer = NetworkScorer(model, encode(model, sounds(2.0, 1.0)), tokenizer.table)
    heads = scorer.listened([(5, 6), (7,)])
    assert heads.shape[0] == 2 and heads.shape[2] == 3
    assert scorer.listened([None, (7,)]) is heads, "of some of them"
    assert scorer.listened([(5, 6), None]) is heads
    other = scorer.listened([(5,), (7,)])
    assert other.shape[2] == 2 and np.allclose(other[1], heads[1, :, :2], atol=1e-5)
