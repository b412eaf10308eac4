"""Models that know a number of positions and hear no window: what is longer is cut, and training pads no further."""

import torch

from asr.features.augment import AugmentConfig
from asr.recognition.recognizer import Recognizer
from asr.training.augmentation import FRAME_STEP, augmented_features
from tests.conftest import random_model
from tests.test_model import sounds

PLACES = 30
"""Memory frames of 40 ms: 1.2 s."""


def model():
    return random_model(positions="learned", places=PLACES)


def test_what_is_heard_at_once_ends_with_the_positions():
    assert model().longest_samples == round(PLACES * 0.04 * 16000)
    assert random_model().longest_samples is None


def test_longer_recordings_are_cut(tokenizer):
    [[result]] = Recognizer(model(), tokenizer).recognize(sounds(3.0))
    assert result.hypothesis is not None


def test_training_pads_no_further_than_there_are_positions():
    frames = 4 * PLACES  # not a multiple of FRAME_STEP
    samples = torch.zeros(1, 160 * frames + 240)
    features, lengths = augmented_features(model(), samples, torch.tensor([samples.shape[1]]), AugmentConfig())
    assert frames % FRAME_STEP and features.shape[1] == max(frames, int(lengths[0]))
    short, _ = augmented_features(model(), samples[:, :3200], torch.tensor([3200]), AugmentConfig())
    assert short.shape[1] == FRAME_STEP
