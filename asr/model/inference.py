"""Making a trained model fast to decode with; the numbers it computes stay the same but for rounding, or nearly so for int8."""

import warnings

import torch
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.model.model import SpeechModel

PRECISIONS = ("none", "int8")
"""What `--quantize` takes."""
PACKED_FOR = 10
"""Rows that oneDNN is told of when it chooses a layout: the one it then takes is good for any number, that for 1 is not."""
LARGEST_PLAIN = 1 << 16
"""Weights of a layer up to which PyTorch's own product is as fast: oneDNN takes 10 microseconds to get ready."""


def ready_to_decode(model: SpeechModel, precision: str = "none") -> SpeechModel:
    """The model made fast, in place but for "int8"; it can then be neither trained nor saved. `precision`: one of PRECISIONS."""
    model = quantize(model, precision)
    pack(model)
    compile_steps(model)
    return model


class PackedLinear(nn.Module):
    """A linear layer in float32 on a CPU, whose weights lie in the blocks that oneDNN multiplies.

    A step of the search multiplies a few rows with every weight of the decoder. PyTorch's own product takes nearly twice as
    long for ten rows: it turns the weights around in every call, or lets them lie as the product does not want them.
    """

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().contiguous(), PACKED_FOR)
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def pack(model: nn.Module) -> None:
    """Lays out the weights of linear layers for a few rows, in place: those that are in float32 on a CPU."""
    packs = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if not isinstance(layer, nn.Linear) or not layer.weight.is_cpu or layer.weight.dtype != torch.float32:
                continue
            if packs and layer.weight.numel() > LARGEST_PLAIN:
                setattr(parent, name, PackedLinear(layer))
            else:  # column by column: inputs, not outputs, lie apart
                layer.weight = nn.Parameter(layer.weight.detach().t().contiguous().t(), requires_grad=False)


def compile_steps(model: SpeechModel) -> None:
    """Compiles the decoder's layers with TorchScript, in place.

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
