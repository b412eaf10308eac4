"""Graphs as ONNX files, with metadata and in few bits, by PyTorch's exporter and ONNX Runtime's tools (the extra `export`)."""

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from asr.errors import UsageError
from asr.extras import brings

OPSET = 18
"""Version of the operators: old enough for the ONNX Runtime of a phone, new enough for PyTorch's exporter."""
LARGEST = 1_900_000_000
"""Bytes of weights that lie in the file of the graph itself; more lie beside it: a file of the format ends at 2 GB."""
SMALLEST_HALVED = 1024
"""Numbers of a tensor from which on it is stored in 16 bits."""
SMALLEST_SCALE = 1e-12
"""What a row of inputs is divided by at least."""


@dataclass(frozen=True)
class Graph:
    """A module, and how its inputs and outputs are called."""

    module: nn.Module
    """What is exported, in evaluation mode."""
    inputs: Mapping[str, Tensor]
    """Name → an example of each input, in order; sizes 0 and 1 would be taken for fixed ones."""
    dynamic: Mapping[str, Sequence[int]]
    """Name → which axes of an input may be of any size."""
    outputs: Sequence[str]
    """Names of what it gives."""


def require_onnx() -> None:
    """Raises UsageError where a package of the extra `export` is missing."""
    for package in ("onnx", "onnxruntime", "onnxscript"):
        try:
            __import__(package)
        except ImportError:
            raise UsageError(f"ONNX needs the package {package}: {brings('export')}") from None


def write_onnx(graph: Graph, path: Path, metadata: Mapping[str, object], dtype: str) -> None:
    """Writes a file, its weights in `dtype`, one of storage.DTYPES; what goes in and comes out is in float32.

    float16: stored so; computed in float32. int8: the products of linear layers are of whole numbers, each output of a layer with
    a scale of its own, each row of inputs, too; what else there is is stored in float16.
    """
    import onnx

    module = with_integer_products(graph.module) if dtype == "int8" else graph.module
    proto = _exported(module, graph)
    if dtype == "int8":
        proto = _quantized(proto)
    if dtype != "float32":
        _halve(proto.graph)
    _tidy(proto)
    onnx.helper.set_model_props(proto, {key: str(value) for key, value in metadata.items()})
    proto.producer_name = "mandarin-asr"
    onnx.save(
        proto, path, save_as_external_data=proto.ByteSize() > LARGEST, location=f"{path.stem}.weights", size_threshold=0
    )


def _exported(module: nn.Module, graph: Graph):
    any_size = {name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for name, axes in graph.dynamic.items()}
    shapes = [any_size.get(name) for name in graph.inputs]
    with torch.no_grad(), _quiet():
        # Guards that a size must meet would be about the example's; what the graph needs is checked before it is made.
        traced = torch.export.export(
            module,
            tuple(graph.inputs.values()),
            dynamic_shapes=tuple(shapes),
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        program = torch.onnx.export(
            traced,
            (),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter says of packages that it does not need, and of itself, is not said."""
    loggers = [logging.getLogger(name) for name in ("", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


class RowScaledLinear(nn.Module):
    """A linear layer whose product is of rows that reach from -1 to 1: one scale is then right for all of them.

    ONNX Runtime rounds the inputs of a product with one scale for all; a loud frame would leave few steps to the others.
    """

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.register_buffer("columns", layer.weight.detach().t().contiguous())
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        scale = x.abs().amax(-1, keepdim=True).clamp(min=SMALLEST_SCALE)
        y = (x / scale) @ self.columns * scale
        return y if self.bias is None else y + self.bias


def with_integer_products(module: nn.Module) -> nn.Module:
    """A copy whose linear layers can be multiplied in whole numbers."""
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear):
                setattr(parent, name, RowScaledLinear(layer))
    return module


def _quantized(proto):
    """The model with products of whole numbers: unsigned weights, as signed ones overflow on processors without VNNI."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantized.onnx"
        large = proto.ByteSize() > LARGEST
        quantize_dynamic(
            proto,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QUInt8,
            use_external_data_format=large,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(path)


def _tidy(proto) -> None:
    """Takes away what the exporter notes of each node: lines of our code and where they lie on this machine."""
    del proto.metadata_props[:], proto.graph.metadata_props[:]
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for part in (*proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]


def _halve(graph) -> None:
    """Stores the large float32 tensors of a graph in 16 bits, in place; a session makes float32 of them when it starts."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALLEST_HALVED or abs(values).max() > torch.finfo(torch.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [f"{name}.float16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
