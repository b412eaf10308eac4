"""What is exported computes what the model does, in ONNX Runtime and in sherpa-onnx; what cannot be expressed is refused."""

import base64
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from asr.catalogue.exporting import export_onnx
from asr.decoding.decode_config import DecodeConfig
from asr.errors import CheckpointError
from asr.exporting.graphs import PADDED, StepGraph, WhisperEncoderGraph
from asr.exporting.onnx_files import write_onnx
from asr.exporting.sherpa import CACHES, CROSS, forms_of, tokens_of
from asr.features.fbank import FeatureConfig, LogMel
from asr.interop.importing import import_model
from asr.model.folder import LoadedModel, load_model
from asr.model.model import ModelConfig, SpeechModel
from asr.recognition.recognizer import Recognizer
from asr.text.tokenizer import CharacterTokenizer
from tests.conftest import random_model, small_sizes
from tests.exports import SHAPES, TABLE, small_model
from tests.sounds import speech
from tests.test_interop import FIXTURES

ort = pytest.importorskip("onnxruntime", reason="pip install 'mandarin-asr[export]'")
EXACT = 1e-4


@pytest.fixture(scope="module", params=SHAPES)
def exported(request, exported_model) -> tuple[LoadedModel, Path]:
    """A model, and the folder of its files."""
    folder = exported_model(request.param)
    return load_model(folder / "model"), folder / "onnx"


def session(path: Path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options)


def heard(path: Path, x: Tensor, lengths: Tensor) -> list[np.ndarray]:
    """What the encoder gives the decoder, by ONNX Runtime."""
    return session(path).run(None, {"x": x.numpy(), "x_len": lengths.numpy()})


def steps(path: Path, cross: list[np.ndarray], room: tuple[int, ...], texts: list[list[list[int]]]) -> np.ndarray:
    """(B, U, V): what the decoder says, given the tokens of all utterances some at a time."""
    decoder, said, done = session(path), [], 0
    caches = [np.zeros((len(cross[0]), len(texts[0]), *room), np.float32)] * 2
    for tokens in texts:
        given = dict(zip((*CACHES, *CROSS), (*caches, *cross), strict=True))
        given |= {"tokens": np.array(tokens), "offset": np.full(len(tokens), done)}
        log_probs, *caches, attention = decoder.run(None, given)
        assert attention.shape[2:] == (len(tokens[0]), cross[0].shape[2])
        said.append(log_probs)
        done += len(tokens[0])
    return np.concatenate(said, axis=1)


def furthest(ours: Tensor, theirs: np.ndarray, never: list[int]) -> float:
    """The largest difference, but for tokens that are never written; these are -inf."""
    assert tuple(ours.shape) == theirs.shape and (theirs[..., never] == -np.inf).all()
    written = [i for i in range(len(TABLE)) if i not in never]
    return float(np.abs(ours.numpy() - theirs)[..., written].max())


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [[60], [300, 41, 7], [3], [8, 2]], ids=str)
def test_the_graphs_compute_what_the_model_does(exported, lengths):
    """Any batch and any length, tokens one by one on a cache or several at once."""
    loaded, folder = exported
    model, generator = loaded.model, torch.Generator().manual_seed(sum(lengths))
    x, lengths = torch.randn(len(lengths), max(lengths), 80, generator=generator), torch.tensor(lengths)
    texts = torch.randint(4, len(TABLE), (len(x), 6), generator=generator)
    texts[:, 0] = TABLE.sos
    with torch.inference_mode():
        memory = model.encode_features(x, lengths)
        said = model.decode_teacher_forced(memory, texts).log_softmax(-1)
    keys, values, *of_ctc = heard(folder / "encoder.onnx", x, lengths)
    L = memory.values.shape[1]
    real = memory.mask.numpy()
    for layer, (k, v) in enumerate(zip(keys, values, strict=True)):
        attention = model.decoder.layers[layer].cross_attention
        with torch.inference_mode():
            ours = attention.key(memory.values).numpy(), attention.value(memory.values).numpy()
        assert np.abs(k[:, :L] - ours[0])[real].max() < EXACT and np.abs(v[:, :L] - ours[1])[real].max() < EXACT
        assert (k[:, :L][~real] == np.float32(PADDED)).all() and (k[:, L:] == np.float32(PADDED)).all()
    for parts in ([1] * 6, [4, 2], [6]):
        room = (20, model.decoder.heads, 8)
        given = [part.tolist() for part in texts.split(parts, dim=1)]
        found = steps(folder / "decoder.onnx", [keys, values], room, given)
        assert furthest(said, found, TABLE.never_written) < EXACT
    if model.ctc is not None:
        with torch.inference_mode():
            ours = model.ctc_log_probs(memory).numpy()
        log_probs, found = heard(folder / "model.onnx", x, lengths)
        silent = sorted(TABLE.silent - {TABLE.blank})
        assert found.tolist() == memory.lengths.tolist() and (log_probs[..., silent] == -np.inf).all()
        written = [i for i in range(len(TABLE)) if i not in silent]
        assert np.abs(log_probs[:, :L] - ours)[real][:, written].max() < EXACT
        assert np.abs(of_ctc[0][:, :L] - ours)[real].max() < EXACT


def test_an_end_that_comes_too_early_is_no_end():
    """By hand: log 0.5 of the end is more than 1.5 times log 0.3 of the best other token, -0.69 > -1.81; log 0.2 is not."""
    model = small_model("transformer")
    step = StepGraph(model, TABLE, DecodeConfig(eos_threshold=1.5), 20)
    for share, other, ends in ((0.5, 0.3, True), (0.2, 0.6, False), (0.2, 0.3, True)):
        log_probs = torch.full((1, 1, len(TABLE)), -20.0)
        log_probs[..., TABLE.eos], log_probs[..., 7] = np.log(share), np.log(other)
        assert (step._may_end(log_probs)[0, 0, TABLE.eos] > -torch.inf) == ends
    assert torch.equal(StepGraph(model, TABLE, DecodeConfig(), 20)._may_end(log_probs), log_probs)


def greedy_text(loaded: LoadedModel, samples: np.ndarray) -> str:
    # sherpa-onnx does not look at a no-speech head
    settings = DecodeConfig(beam=1, ctc_weight=0, stop_loops=False, redecode=False, max_chars_per_second=8, no_speech=1)
    return Recognizer(loaded.model, loaded.tokenizer, settings).recognize([samples])[0][0].text


def ctc_text(loaded: LoadedModel, samples: np.ndarray) -> str:
    """The likeliest token of each frame, without repetitions and blanks."""
    model, table = loaded.model, loaded.tokenizer.table
    with torch.inference_mode():
        log_probs = model.ctc_log_probs(model.encode(torch.from_numpy(samples)[None], torch.tensor([len(samples)])))[0]
    log_probs = log_probs.clone()
    log_probs[:, sorted(table.silent - {table.blank})] = -torch.inf
    return loaded.tokenizer.decode(torch.unique_consecutive(log_probs.argmax(-1)).tolist())


@pytest.mark.slow
def test_sherpa_onnx_writes_what_our_greedy_search_does(exported):
    sherpa_onnx = pytest.importorskip("sherpa_onnx")
    loaded, folder = exported
    files = {"tokens": str(folder / "tokens.txt")}
    aed = sherpa_onnx.OfflineRecognizer.from_fire_red_asr(
        encoder=str(folder / "encoder.onnx"), decoder=str(folder / "decoder.onnx"), **files
    )
    recognizers = {greedy_text: aed}
    if loaded.model.ctc is not None:
        recognizers[ctc_text] = sherpa_onnx.OfflineRecognizer.from_fire_red_asr_ctc(str(folder / "model.onnx"), **files)
    clips = [speech(seconds, seed) for seed, seconds in enumerate((1.3, 2.5, 4.0, 3.1))]
    for ours, recognizer in recognizers.items():
        streams = [recognizer.create_stream() for _ in clips]
        for stream, samples in zip(streams, clips, strict=True):
            stream.accept_waveform(16000, samples)
        recognizer.decode_streams(streams)
        for stream, samples in zip(streams, clips, strict=True):
            theirs = stream.result.text.strip()
            expected = ours(loaded, samples)
            # Where no end is found, each program has a limit of its own.
            assert len(theirs) > 2 and (theirs == expected or (ours is greedy_text and expected.startswith(theirs)))


@pytest.mark.slow
def test_the_page_in_the_folder_runs_as_it_stands(exported, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sherpa_onnx")
    loaded, folder = exported
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "MODEL_CARD.md").read_text() == "# A card\n"
    shutil.copytree(folder, tmp_path / "onnx")
    monkeypatch.chdir(tmp_path / "onnx")
    soundfile.write("talk.wav", speech(2.0, 5), 16000, subtype="FLOAT")
    exec(re.search(r"```python\n(.*?)```", page, re.S)[1], {})
    theirs = capsys.readouterr().out.strip()
    assert len(theirs) > 2 and greedy_text(loaded, speech(2.0, 5)).startswith(theirs)


@pytest.mark.slow
def test_nothing_of_this_machine_is_in_a_file(exported):
    for path in exported[1].glob("*.onnx"):
        held = path.read_bytes()
        assert (
            b"stack_trace" not in held and b".py" not in held and str(Path(__file__).parent.parent).encode() not in held
        )


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "share", "most"), [("float16", 0.7, 5e-3), ("int8", 0.6, 0.08)])
def test_fewer_bits_are_smaller_and_nearly_the_same(exported, tmp_path, dtype, share, most):
    loaded, folder = exported
    if loaded.model.ctc is not None:
        pytest.skip("of one model")
    graph = forms_of(loaded, DecodeConfig())[0].parts[0].graph()
    write_onnx(graph, tmp_path / "encoder.onnx", {}, dtype)
    size = (folder / "encoder.onnx").stat().st_size
    weights = sum(p.numel() for p in loaded.model.encoder.parameters())
    assert size > 4 * weights and (tmp_path / "encoder.onnx").stat().st_size < share * size + 40_000
    x, lengths = torch.randn(2, 90, 80), torch.tensor([90, 50])
    x[0, 40] *= 20  # a loud frame
    found = (heard(of / "encoder.onnx", x, lengths) for of in (tmp_path, folder))
    for small, full in zip(*found, strict=True):
        real = full < PADDED
        assert (small[~real] == full[~real]).all() and np.abs(small - full)[real].max() < most


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> tuple[LoadedModel, Path]:
    """A Whisper model without a window: what it hears is followed by half a second of silence."""
    folder = tmp_path_factory.mktemp("whisper")
    import_model("whisper", FIXTURES / "whisper-tiny-hf", folder / "model")
    return load_model(folder / "model"), folder


def as_sherpa_gives_it(loaded: LoadedModel, samples: np.ndarray, zeros: int) -> Tensor:
    """(1, F, T + zeros): features of the recording alone, and zeros behind them."""
    features = LogMel(replace(loaded.model.log_mel.config, window_seconds=0.0, tail_seconds=0.0))
    mel, _ = features(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    return torch.nn.functional.pad((mel[:, :-1].transpose(1, 2) / 10 + 4) / 4, (0, zeros))


@pytest.mark.parametrize("zeros", [40, 1000])
@pytest.mark.parametrize("tail", [0.0, 0.5])
def test_zeros_behind_a_recording_are_the_silence_that_the_model_knows(whisper, zeros, tail):
    """But for the last frames, which see the recording reflected at its end, and here silence behind it."""
    loaded, _ = whisper
    if tail:
        model = load_model(loaded.folder).model
        config = replace(model.log_mel.config, window_seconds=0.0, tail_seconds=tail)
        model.log_mel = LogMel(config)
    else:
        model = loaded.model
        if model.log_mel.config.window_seconds > 5:
            zeros = 3000
    samples = speech(1.5, 2)
    samples[-800:] = 0
    heard_features = []
    graph = WhisperEncoderGraph(model)
    model.encode_features, keep = lambda x, lengths: heard_features.append((x, lengths)), model.encode_features
    try:
        with pytest.raises(AttributeError), torch.inference_mode():
            graph(as_sherpa_gives_it(loaded, samples, zeros))
    finally:
        model.encode_features = keep
    ours, lengths = model.features(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    (theirs, found) = heard_features[0]
    assert found.tolist() == lengths.tolist()
    assert float((theirs[:, : ours.shape[1]] - ours).abs().max()) < 1e-3


@pytest.mark.slow
def test_whispers_prompt_and_then_token_by_token(whisper):
    """Both graphs in ONNX Runtime, with what the metadata says of the prompt, against our own search."""
    loaded, folder = whisper
    export_onnx(folder / "model", folder / "onnx", "float32")
    name = loaded.name
    encoder = session(folder / "onnx" / f"{name}-encoder.onnx")
    said = encoder.get_modelmeta().custom_metadata_map
    prompt = [*map(int, said["sot_sequence"].split(",")), int(said["no_timestamps"])]
    assert (
        prompt == [*loaded.model.config.decoder.prompt, loaded.tokenizer.table.sos] and said["is_multilingual"] == "0"
    )
    samples = np.load(FIXTURES / "whisper-tiny-hf/golden.npz")["waveform"]
    zeros = loaded.model.log_mel.config.window_samples // 160 - len(samples) // 160
    cross = encoder.run(None, {"mel": as_sherpa_gives_it(loaded, samples, zeros).numpy()})
    room = (int(said["n_text_ctx"]), int(said["n_text_state"]))
    tokens: list[int] = []
    while len(tokens) < 10 and loaded.tokenizer.table.eos not in tokens:
        given = [[prompt], *([[token]] for token in tokens)]
        log_probs = steps(folder / "onnx" / f"{name}-decoder.onnx", cross, room, given)
        tokens.append(int(log_probs[0, -1].argmax()))
    expected = Recognizer(
        loaded.model, loaded.tokenizer, DecodeConfig(beam=1, stop_loops=False, redecode=False, max_chars_per_second=20)
    ).recognize([samples])[0][0]
    assert tokens[:10] == [*expected.hypothesis.tokens, loaded.tokenizer.table.eos][: len(tokens)]


def test_tokens_as_sherpa_onnx_lists_them(whisper, tokenizer):
    loaded, _ = whisper
    listed = dict((i, token) for token, i in tokens_of(loaded))
    table = loaded.tokenizer.table
    assert table.eos not in listed and not table.control & listed.keys()
    for i, token in listed.items():
        text = base64.b64decode(token).decode("utf-8", "replace")
        assert text == loaded.tokenizer.pieces([i])[0]
    ours = LoadedModel("ours", random_model(), CharacterTokenizer(TABLE), {}, Path())
    assert list(tokens_of(ours))[:2] == [("<blank>", 0), (TABLE.tokens[5], 5)]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"n_mels": 40}, "its features.n_mels is 40, and for FireRedASR models, the nearest .* features with 80"),
        ({"high_hz": 7600.0}, "its features.high_hz is 7600.0, .* with 8000.0"),
        ({"tail_seconds": 0.5}, "its features.tail_seconds is 0.5"),
        ({"kind": "stft", "window": "hann"}, "its features.low_hz is 20.0, and for Whisper models"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_other_features_are_refused_by_name(features, message):
    config = ModelConfig(**small_sizes())
    model = SpeechModel(FeatureConfig(**features), config, len(TABLE))
    with pytest.raises(CheckpointError, match=message):
        forms_of(LoadedModel("mine", model, CharacterTokenizer(TABLE), {}, Path()), DecodeConfig())


def test_what_the_command_refuses_and_what_it_keeps(run, model, tmp_path, monkeypatch):
    out = tmp_path / "onnx"
    status, _, err = run("model", "export", model, "--out", out, "--format", "ort")
    assert status == 2 and "'ort' is not one of folder, onnx" in err
    status, _, err = run("model", "export", model, "--out", out, "--format", "onnx", "--card", "x.md")
    assert status == 2 and "is for model folders" in err
    out.mkdir()
    (out / "note.txt").write_text("mine")
    status, _, err = run("model", "export", model, "--out", out, "--format", "onnx")
    assert status == 1 and "is there already; choose another name, or --force" in err
    status, _, err = run("model", "export", model, "--out", out, "--format", "onnx", "--force")
    assert status == 1 and "holds files but no ONNX model; --force only overwrites a folder of such" in err
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    status, _, err = run("model", "export", model, "--out", tmp_path / "new", "--format", "onnx")
    assert status == 2 and "ONNX needs the package onnxscript: pip install 'mandarin-asr[export]'" in err
    assert (out / "note.txt").read_text() == "mine" and not (tmp_path / "new").exists()
