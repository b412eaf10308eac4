"""Making a trained model fast to decode with: the same numbers but for rounding, or nearly the same in fewer bits."""

import copy
import platform
import warnings

import torch
from torch import Tensor, nn

from asr.errors import UsageError
from asr.model.layers import Attention, FeedForward, KeysValues, attend, heads_joined
from asr.model.model import SpeechModel

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Precisions of 16 bits in which products are computed, also in training, where they are not in float32."""
QUANTIZATIONS = ("none", "int8", *HALVES)
"""What `--quantize` takes."""
PACKED_FOR = 10
"""Rows that oneDNN is told of when it chooses a layout: the one it then takes is good for any number, that for 1 is not."""
INT8_STEPS = 127.5
"""Steps from 0 to an output's largest weight."""
SMALLEST = 1e-12
"""What a row of inputs is divided by at least."""
LARGEST_PLAIN = 1 << 15
"""Weights of a layer up to which PyTorch's own product is as fast: oneDNN takes 10 microseconds to get ready."""
IN_ONE_PASS = {nn.ReLU: ("relu", ""), nn.GELU: ("gelu", "none"), nn.SiLU: ("swish", "")}
"""Activations that oneDNN applies to a product while it is at hand: its name for each, and for the way to compute it."""


def ready_to_decode(model: SpeechModel, quantize: str = "none", greedy: bool = False) -> SpeechModel:
    """The model made fast, in place where it is not copied for fewer bits; it can then be neither trained nor saved.

    `quantize`: one of QUANTIZATIONS. bfloat16 on a CPU is for the products of linear layers: what lies between them, and the CTC
    head, whose rounded log-probabilities would add up over the frames, stay in float32. `greedy`: whether a single hypothesis
    is searched.
    """
    model = quantized(model, quantize)
    join_self_attention(model)
    pack(model, torch.bfloat16 if quantize == "bfloat16" else torch.float32, greedy)
    compile_steps(model)
    return model


class JoinedAttention(nn.Module):
    """Attention of tokens to tokens before them, whose queries, keys and values come from one product in the place of three.

    In a step of the search a product of a few rows takes hardly longer for three times as many outputs.
    """

    def __init__(self, attention: Attention):
        super().__init__()
        self.heads, self.out = attention.heads, attention.out
        parts = (attention.query, attention.key, attention.value)
        self.parts = nn.Linear(parts[0].in_features, 3 * parts[0].in_features)
        self.parts.weight = nn.Parameter(torch.cat([part.weight.detach() for part in parts]), requires_grad=False)
        self.parts.bias = nn.Parameter(torch.cat([part.bias.detach() for part in parts]), requires_grad=False)

    def project(self, x: Tensor) -> tuple[Tensor, KeysValues]:
        """As of Attention."""
        queries, keys, values = self.parts(x).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2).chunk(3, dim=1)
        return queries, (keys, values)

    def find(self, queries: Tensor, keys_values: KeysValues, mask: Tensor | None) -> Tensor:
        """As of Attention."""
        keys, values = keys_values
        return self.out(heads_joined(attend(queries, keys, values, mask)))


def join_self_attention(model: SpeechModel) -> None:
    """One product for queries, keys and values of the decoder's self-attention, in place."""
    for layer in model.decoder.layers:
        if isinstance(layer.self_attention, Attention):
            layer.self_attention = JoinedAttention(layer.self_attention)


class PackedLinear(nn.Module):
    """A linear layer on a CPU that multiplies in `dtype`, float32 or bfloat16; its weights lie in blocks as oneDNN wants them.

    A step of the search multiplies a few rows with every weight of the decoder. PyTorch's own product takes nearly twice as
    long for ten rows: it turns the weights around in every call, or lets them lie as the product does not want them.
    A single row it reads one and a half times as fast: with `for_one` the weights are kept for that, too, column by column.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype = torch.float32, for_one: bool = False):
        super().__init__()
        self.dtype, self.result = dtype, layer.weight.dtype
        self.activation, self.way = "none", ""
        self.columns = layer.weight.detach().t().contiguous() if for_one else None
        weight = layer.weight.detach().to(dtype).contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_FOR)
        self.bias = None if layer.bias is None else layer.bias.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        if self.columns is not None and x.numel() == x.shape[-1]:
            y = x.matmul(self.columns)
            return y if self.bias is None else y + self.bias
        return torch.ops.mkldnn._linear_pointwise(
            x.to(self.dtype), self.weight, self.bias, self.activation, [], self.way
        ).to(self.result)


def _join_activation(part: FeedForward) -> None:
    """The activation with the product before it, in place; what comes of it stays in the precision of the product behind it."""
    first, name = part[0], IN_ONE_PASS.get(type(part[1]))
    if name is not None and isinstance(first, PackedLinear) and first.columns is None:
        (first.activation, first.way), first.result = name, first.dtype
        part[1] = nn.Identity()


def pack(model: SpeechModel, dtype: torch.dtype = torch.float32, greedy: bool = False) -> None:
    """Lays out the weights of linear layers for a few rows, in place: those that are in float32 on a CPU.

    `greedy`: those of the decoder for a single row, too, which takes as much memory again.
    """
    packs, for_one = _packs(), set(model.decoder.modules()) if greedy else set()
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if not isinstance(layer, nn.Linear) or not layer.weight.is_cpu or layer.weight.dtype != torch.float32:
                continue
            half = dtype != torch.float32 and layer is not model.ctc
            plain = LARGEST_PLAIN * (2 if layer in for_one else 1)  # of one row twice as large ones are as fast
            if packs and (half or layer.weight.numel() > plain):
                setattr(
                    parent, name, PackedLinear(layer, dtype if half else torch.float32, layer in for_one and not half)
                )
            else:  # column by column: inputs, not outputs, lie apart
                layer.weight = nn.Parameter(layer.weight.detach().t().contiguous().t(), requires_grad=False)
        if isinstance(parent, FeedForward):
            _join_activation(parent)


def _packs() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def packs_bfloat16() -> bool:
    """Whether PyTorch multiplies in bfloat16 on this CPU; fast it is only with instructions for it (AVX-512 BF16, AMX)."""
    return _packs() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def fast_in_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16 by instructions of its own; PyTorch does without them, too, and takes longer."""
    on_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return packs_bfloat16() and (torch.cpu._is_avx512_bf16_supported() or not on_x86)


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


def quantized(model: SpeechModel, quantize: str) -> SpeechModel:
    """A copy with int8 weights in its linear layers, whose inputs are rounded as they come (CPU), or one in 16 bits (GPU).

    The model itself where nothing is to be done, or `pack` does it. Raises UsageError for what the device cannot do.
    """
    if quantize not in QUANTIZATIONS:
        raise UsageError(f"quantize must be one of {', '.join(QUANTIZATIONS)}, is {quantize!r}")
    device = model.cmvn.mean.device
    if quantize == "int8" and device.type != "cpu":
        raise UsageError(f"quantize int8 works on a CPU only, the model is on {device}")
    if quantize == "float16" and device.type == "cpu":
        raise UsageError("quantize float16 works on a GPU only; on a CPU take bfloat16 or int8")
    if quantize == "bfloat16" and device.type == "cpu" and not packs_bfloat16():
        raise UsageError("quantize bfloat16 needs a GPU or a CPU on which PyTorch multiplies in bfloat16; take int8")
    if quantize == "int8":
        return _in_int8(copy.deepcopy(model))
    return halved(model, HALVES[quantize]) if quantize in HALVES and device.type != "cpu" else model


class Int8Linear(nn.Module):
    """A linear layer on a CPU that multiplies whole numbers: each output has a scale of its own, and each row of inputs too.

    PyTorch's own has one scale for all inputs of a call, the largest of which leaves few steps to the others: of Whisper base
    that cost 1.4 points of CER. Its product is called here without the module around it, which lays out weights three times, and
    rounds inputs to 7 bits, for CPUs whose sums of two products may overflow 16 bits: with VNNI there are 32, and 8 bits
    halve the error.
    """

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.bias, self.smallest, self.seven_bits = layer.bias, SMALLEST, not torch.cpu._is_vnni_supported()
        weight = layer.weight.detach()
        scales = (weight.abs().amax(1) / INT8_STEPS).clamp(min=torch.finfo(torch.float32).eps)
        zeros = torch.zeros_like(scales, dtype=torch.long)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch announces a successor, which is no faster here
            whole = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(whole, None)

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        if x.numel() == x.shape[-1]:  # a single row has a scale of its own as it is
            y = torch.ops.quantized.linear_dynamic(x, self.packed, self.seven_bits)
            return y if self.bias is None else y + self.bias
        scale = x.abs().amax(-1, keepdim=True).clamp(min=self.smallest)
        y = torch.ops.quantized.linear_dynamic(x / scale, self.packed, self.seven_bits)
        return y * scale if self.bias is None else torch.addcmul(self.bias, y, scale)


class InBfloat16(nn.Module):
    """A layer computed in bfloat16, whose result is in float32 again."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.to(torch.bfloat16)).float()


class Rounded(nn.Module):
    """What a layer gives, in bfloat16."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).to(torch.bfloat16)


def _in_int8(model: SpeechModel) -> SpeechModel:
    join_self_attention(model)
    for block in model.encoder.blocks:
        if type(block.attention) is Attention:
            block.attention = JoinedAttention(block.attention)
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear):
                setattr(parent, name, Int8Linear(layer))
    if fast_in_bfloat16():
        _round_attention(model)
        _round_convolutions(model)
    return model


def _round_attention(model: SpeechModel) -> None:
    """Keys and values of memory frames in bfloat16, in place: attention to many frames then takes half as long."""
    for block in model.encoder.blocks:
        if isinstance(block.attention, JoinedAttention):
            block.attention.parts = Rounded(block.attention.parts)
    for layer in model.decoder.layers:
        attention = layer.cross_attention
        attention.key, attention.value = Rounded(attention.key), Rounded(attention.value)


def _round_convolutions(model: SpeechModel) -> None:
    """Convolutions over time in bfloat16, in place: in float32 they take an eighth of the encoder's time."""
    for parent in list(model.subsampling.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv1d):
                setattr(parent, name, InBfloat16(layer))


def halved(model: SpeechModel, dtype: torch.dtype) -> SpeechModel:
    """A copy with weights of 16 bits, but for the features and the heads on the encoder."""
    model = copy.deepcopy(model)
    for part in (model.subsampling, model.encoder, model.projection, model.decoder, model.reverse_decoder):
        if part is not None:
            part.to(dtype)
    return model
