"""Models that know a number of positions and hear no window: what is longer is cut, and training pads no further."""

import pytest
import torch

from asr.features.augment import AugmentConfig
from asr.recognition.recognizer import Recognizer
from asr.training.augmentation import augmented_features
from tests.conftest import random_model
from tests.test_model import sounds

POSITIONS = 33
"""Memory frames of 40 ms: 1.32 s."""


def model():
    return random_model(positions="learned", places=POSITIONS)


def test_what_is_heard_at_once_ends_with_the_positions():
    assert model().longest_samples == round(POSITIONS * 0.04 * 16000)
    assert random_model().longest_samples is None


def test_longer_recordings_are_cut(tokenizer):
    [[result]] = Recognizer(model(), tokenizer).recognize(sounds(3.0))
    assert result.hypothesis is not None


def test_training_pads_no_further_than_there_are_positions():
    frames = 4 * POSITIONS  # which would become 136
    samples = torch.zeros(1, 160 * frames + 240)
    features, lengths = augmented_features(model(), samples, torch.tensor([samples.shape[1]]), AugmentConfig())
    assert features.shape[1] == frames == int(lengths[0])
    free, _ = augmented_features(random_model(), samples, torch.tensor([samples.shape[1]]), AugmentConfig())
    assert free.shape[1] == 136


@pytest.mark.parametrize(
    ("frames", "padded"), [(1, 1), (31, 31), (33, 34), (100, 100), (101, 104), (1023, 1024), (1025, 1088)]
)
def test_training_pads_to_one_of_sixteen_lengths_an_octave(frames, padded):
    samples = torch.zeros(1, 160 * frames + 240)
    features, _ = augmented_features(random_model(), samples, torch.tensor([samples.shape[1]]), AugmentConfig())
    assert features.shape[1] == padded
