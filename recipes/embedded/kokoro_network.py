"""Kokoro-82M in two parts: one says when and how high (small, ONNX Runtime), one makes sound of that (OpenVINO, bfloat16).

The published network holds its convolutions as 8-bit integers and its sines as library calls; both are slow. Here the
convolutions become bfloat16 ones and the squared sines polynomials, and sentences are padded to few different lengths, because
for each new length OpenVINO builds its kernels anew. On a CPU with bfloat16 instructions it says a good half more a minute.
"""

import numpy as np
import onnx
from kokoro_weights import FRAME, published_file
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.utils import Extractor

INPUTS = ["tokens", "style", "speed"]
SOURCE = "/decoder/decoder/generator/Concat_3_output_0"
BETWEEN = {
    "/encoder/MatMul_1_output_0": 1,  # what is said: (1, 512, frames)
    "/encoder/Reshape_output_0": 2,  # pitch: (1, 2 · frames)
    "/encoder/Reshape_1_output_0": 2,  # energy: (1, 2 · frames)
    SOURCE: 120,  # the voice's source, as spectra: (1, 22, 120 · frames + 1)
}
"""What goes from the first part to the second, and how long it is for each frame. The source's phase is a sum over all samples,
for which bfloat16 is too coarse."""
PADDING = 16
"""Frames: lengths are rounded up to a multiple of these; what is added repeats the last frame and is cut off again."""


class Network:
    """Phonemes, a voice and a tempo to sound, on one thread."""

    def __init__(self):
        import onnxruntime
        import openvino

        network = onnx.load_from_string(published_file())
        network.graph.value_info.append(helper.make_tensor_value_info(SOURCE, TensorProto.FLOAT, [1, 22, None]))
        parts = Extractor(network)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        first = parts.extract_model(INPUTS, list(BETWEEN))
        self.first = onnxruntime.InferenceSession(first.SerializeToString(), options, ["CPUExecutionProvider"])
        second = parts.extract_model([*BETWEEN, "style"], ["audio"])
        float_convolutions(second.graph)
        polynomial_sines(second.graph)
        # Without the last, two processes on two cores would both sit on the first.
        hints = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "bf16", "ENABLE_CPU_PINNING": False}
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(second.SerializeToString()), "CPU", hints)
        self.second = compiled.create_infer_request()

    def __call__(self, tokens: np.ndarray, style: np.ndarray, speed: np.ndarray) -> np.ndarray:
        """Samples at 24 kHz: tokens (1, phonemes), style (1, 256), speed (1)."""
        parts = self.first.run(list(BETWEEN), dict(zip(INPUTS, (tokens, style, speed), strict=True)))
        frames = parts[0].shape[-1]
        padded = {
            name: np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, (-frames % PADDING) * rate)], "edge")
            for (name, rate), part in zip(BETWEEN.items(), parts, strict=True)
        }
        samples = self.second.infer(padded | {"style": style})[0]
        return samples.ravel()[: frames * FRAME].copy()


def float_convolutions(graph: GraphProto) -> None:
    """Puts Conv with float weights in the place of quantize → ConvInteger (→ Add of the bias) → Cast → Mul."""
    constants, makers, users = _constants(graph), _makers(graph), _users(graph)
    instead, gone = {}, set()
    for node in graph.node:
        if node.op_type != "ConvInteger":
            continue
        quantize, (after,), bias = makers[node.input[0]], users[node.output[0]], None
        if after.op_type == "Add":
            bias = next(name for name in after.input if name != node.output[0])
            while bias not in constants:  # it is divided by the scale, and rounded
                bias = makers[bias].input[0]
            gone.add(after.name)
            (after,) = users[after.output[0]]
        (scaled,) = users[after.output[0]]
        scales = makers[next(name for name in scaled.input if name != after.output[0])]
        scale = constants[next(name for name in scales.input if name != quantize.output[1])]
        zero = constants[node.input[3]] if len(node.input) > 3 else np.zeros(1)
        weights = (constants[node.input[1]].astype(np.float32) - zero.reshape(-1, 1, 1)) * scale.reshape(-1, 1, 1)
        inputs = [quantize.input[0], _add_constant(graph, weights, node.name + "_weights")]
        if bias is not None:
            inputs.append(_add_constant(graph, constants[bias].ravel(), node.name + "_bias"))
        convolution = helper.make_node("Conv", inputs, [scaled.output[0]], node.name + "_float")
        convolution.attribute.extend(node.attribute)
        instead[scaled.name] = [convolution]
        gone |= {node.name, after.name}
    _replace(graph, instead, gone)


def polynomial_sines(graph: GraphProto) -> None:
    """Puts a polynomial, exact to a millionth, in the place of Sin → Pow 2, the network's activation function."""
    constants, users = _constants(graph), _users(graph)
    turns = np.linspace(-0.5, 0.5, 2001)  # of half a period: sin² repeats itself after each
    powers = np.stack([turns ** (2 * i) for i in range(1, 6)], 1)
    coefficients = np.linalg.lstsq(powers, np.sin(np.pi * turns) ** 2, rcond=None)[0]
    factors = [_add_constant(graph, c, f"polynomial_{i}") for i, c in enumerate(coefficients)]
    per_turn, half = (
        _add_constant(graph, 1 / np.pi, "polynomial_per_turn"),
        _add_constant(graph, 0.5, "polynomial_half"),
    )
    instead, gone = {}, set()
    for node in graph.node:
        after = users[node.output[0]] if node.op_type == "Sin" else []
        if len(after) != 1 or after[0].op_type != "Pow" or constants[after[0].input[1]].item() != 2:
            continue
        made: list[NodeProto] = []

        def add(kind: str, *inputs: str, made=made, name=node.name) -> str:
            made.append(helper.make_node(kind, inputs, [f"{name}_{len(made)}"], f"{name}_{len(made)}"))
            return made[-1].output[0]

        turn = add("Mul", node.input[0], per_turn)
        rest = add("Sub", turn, add("Floor", add("Add", turn, half)))
        square = add("Mul", rest, rest)
        total = factors[-1]
        for factor in reversed(factors[:-1]):
            total = add("Add", add("Mul", total, square), factor)
        made.append(helper.make_node("Mul", [total, square], after[0].output, after[0].name))
        instead[after[0].name] = made
        gone.add(node.name)
    _replace(graph, instead, gone)


def _constants(graph: GraphProto) -> dict[str, np.ndarray]:
    return {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}


def _makers(graph: GraphProto) -> dict[str, NodeProto]:
    return {name: node for node in graph.node for name in node.output}


def _users(graph: GraphProto) -> dict[str, list[NodeProto]]:
    users: dict[str, list[NodeProto]] = {name: [] for node in graph.node for name in node.output}
    for node in graph.node:
        for name in node.input:
            users.get(name, []).append(node)
    return users


def _add_constant(graph: GraphProto, values: np.ndarray | float, name: str) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    return name


def _replace(graph: GraphProto, instead: dict[str, list[NodeProto]], gone: set[str]) -> None:
    """Puts lists of nodes in the place of nodes, by name, and takes out what is gone."""
    nodes = [new for node in graph.node if node.name not in gone for new in instead.get(node.name, [node])]
    del graph.node[:]
    graph.node.extend(nodes)
