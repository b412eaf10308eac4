"""Making a trained model fast to decode with; the numbers it computes stay the same, or nearly so for int8."""

import warnings

import torch
from torch import nn

from asr.errors import ConfigError
from asr.model.model import SpeechModel

PRECISIONS = ("none", "int8")
"""What `--quantize` takes."""


def lay_out_for_steps(model: nn.Module) -> None:
    """Stores the weights of linear layers column by column, in place.

    A step of the search multiplies a few rows with every weight of the decoder; a CPU does that nearly twice as fast when
    the inputs of a layer, not its outputs, are what lies apart in memory. Shapes and values stay as they are.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data.t().contiguous().t()


def compile_steps(model: SpeechModel) -> None:
    """Compiles the decoder's layers with TorchScript, in place. For decoding only: they can then be neither saved nor quantised.

    A step is hundreds of small calls, and Python's part of them takes as long as the arithmetic: the weights that stream
    by push the interpreter out of the caches.
    """
    with warnings.catch_warnings():
        # TorchScript is no longer developed; it still is what compiles in a tenth of a second.
        warnings.simplefilter("ignore")
        for i, layer in enumerate(model.decoder.layers):
            model.decoder.layers[i] = torch.jit.script(layer)


def quantize(model: SpeechModel, precision: str) -> SpeechModel:
    """A copy with int8 weights in its linear layers, whose inputs are rounded as they come (CPU only); for "none" the model."""
    if precision not in PRECISIONS:
        raise ConfigError(f"quantize must be one of {', '.join(PRECISIONS)}, is {precision!r}")
    if precision == "none":
        return model
    if model.cmvn.mean.device.type != "cpu":
        raise ConfigError(f"quantize int8 works on a CPU only, the model is on {model.cmvn.mean.device}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch announces a successor, which is no faster here
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
