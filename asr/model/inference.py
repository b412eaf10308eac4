"""Making a trained model fast to decode with: the same numbers but for rounding, or nearly the same in fewer bits."""

import copy
import warnings

import torch
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.model.model import SpeechModel

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
PRECISIONS = ("none", "int8", *HALVES)
"""What `--quantize` takes."""
PACKED_FOR = 10
"""Rows that oneDNN is told of when it chooses a layout: the one it then takes is good for any number, that for 1 is not."""
LARGEST_PLAIN = 1 << 16
"""Weights of a layer up to which PyTorch's own product is as fast: oneDNN takes 10 microseconds to get ready."""


def ready_to_decode(model: SpeechModel, precision: str = "none") -> SpeechModel:
    """The model made fast, in place if `precision`, one of PRECISIONS, is "none"; it can then be neither trained nor saved."""
    model = quantize(model, precision)
    pack(model)
    compile_steps(model)
    return model


class PackedLinear(nn.Module):
    """A linear layer in float32 or bfloat16 on a CPU, whose weights lie in the blocks that oneDNN multiplies.

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
    """Lays out the weights of linear layers for a few rows, in place: those that are on a CPU."""
    packs = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    packs_half = packs and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if not isinstance(layer, nn.Linear) or not layer.weight.is_cpu:
                continue
            half = layer.weight.dtype == torch.bfloat16
            if packs_half if half else packs and layer.weight.numel() > LARGEST_PLAIN:
                setattr(parent, name, PackedLinear(layer))
            elif not half:  # column by column: inputs, not outputs, lie apart
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
    """A copy with int8 weights in its linear layers, whose inputs are rounded as they come (CPU only), or one that computes in
    16 bits (float16: GPU only); for "none" the model itself."""
    if precision not in PRECISIONS:
        raise ConfigError(f"quantize must be one of {', '.join(PRECISIONS)}, is {precision!r}")
    if precision == "none":
        return model
    device = model.cmvn.mean.device
    if precision == "int8" and device.type != "cpu":
        raise ConfigError(f"quantize int8 works on a CPU only, the model is on {device}")
    if precision == "float16" and device.type == "cpu":
        raise ConfigError("quantize float16 works on a GPU only; on a CPU take bfloat16 or int8")
    if precision in HALVES:
        return _halved(model, HALVES[precision])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch announces a successor, which is no faster here
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def _halved(model: SpeechModel, dtype: torch.dtype) -> SpeechModel:
    """A copy with weights of 16 bits, but for the features and the CTC head: rounded log-probabilities of frames add up."""
    model = copy.deepcopy(model)
    for part in (model.subsampling, model.encoder, model.decoder, model.reverse_decoder):
        if part is not None:
            part.to(dtype)
    return model
