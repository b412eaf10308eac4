"""Networks without numbers, to be filled with those of a file."""

import torch
from torch.overrides import TorchFunctionMode

from asr.features.fbank import FeatureConfig
from asr.model.model import ModelConfig, SpeechModel


class _WithoutInit(TorchFunctionMode):
    """Inside it torch.nn.init does nothing: a billion random numbers would take longer than reading the right ones."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))


def empty_model(features: FeatureConfig, config: ModelConfig, vocabulary: int) -> SpeechModel:
    """A network to be filled; until then its weights are whatever lay in memory."""
    with _WithoutInit():
        return SpeechModel(features, config, vocabulary)


def sizes_alone(features: FeatureConfig, config: ModelConfig, vocabulary: int) -> SpeechModel:
    """A network without a number in it: what its tensors would be called, and how large they would be."""
    with torch.device("meta"):
        return empty_model(features, config, vocabulary)
