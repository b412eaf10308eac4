"""A model of Whisper's does all that others do: windows of audio, times, going on."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

import asr
from asr.audio.reading import read_samples
from asr.audio.voice_activity import load_voice_activity
from asr.corpus.toy import prepare_toy
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.search import Hypothesis
from asr.errors import AsrError, AudioError, ConfigError
from asr.features.fbank import LogMel, pad_samples
from asr.interop.importing import IMPORTERS, import_model
from asr.model.folder import LoadedModel, load_model, read_header
from asr.model.model import SpeechModel
from asr.recognition.encoding import encode, window_samples
from asr.recognition.guards import UNSURE, WRITTEN_TWICE, reasons_for_silence
from asr.recognition.recognizer import Recognizer
from asr.text.byte_pairs import BytePairTokenizer
from asr.transcription.aligning import Aligner
from asr.transcription.live import quick_recognizer
from asr.transcription.segmenting import SegmentConfig
from tests.conftest import ROOT, random_model
from tests.sounds import cut_speech
from tests.test_interop import FIXTURES

TINY = FIXTURES / "whisper-tiny-hf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return import_model("whisper", TINY, tmp_path_factory.mktemp("models") / "tiny").folder


def test_audio_longer_than_the_window_is_not_heard_in_part(folder):
    model = load_model(folder).model
    samples, lengths = pad_samples([np.zeros(3 * 16000 + 1, np.float32)])
    with pytest.raises(AudioError, match="3.0 s of audio are more than the 3 s that the model hears at once"):
        model.encode(samples, lengths)


def test_longer_audio_is_decoded_in_parts_whose_times_follow_each_other(folder):
    sound = np.load(TINY / "golden.npz")["waveform"]
    long = np.concatenate([sound, sound * 0.5, sound[:8000]])
    recognizer = asr.load(folder).recognizer
    short, joined = (nbest[0] for nbest in recognizer.recognize([sound[:20000], long], timed=True))
    assert short.spans and short.spans[-1][1] <= 20000 / 16000
    times = [t for span in joined.spans for t in span]
    assert len(joined.spans) == len(joined.hypothesis.tokens) and times == sorted(times)
    assert 3.5 < times[-1] <= len(long) / 16000


def test_recordings_are_cut_into_pieces_that_fill_the_window(folder):
    assert SegmentConfig.within(0) == SegmentConfig()
    assert SegmentConfig.within(30.0) == SegmentConfig(longest=29.0, shortest=14.5, pause=2.0)
    assert asr.load(folder).segments == SegmentConfig(longest=2.0, shortest=1.0, pause=2.0)
    clips = [read_samples(path) for path in sorted(ROOT.glob("data/sample/*.flac"))]
    sound = np.concatenate(clips * 5)  # their own silences are pauses of about a second
    pieces = list(cut_speech([sound], load_voice_activity(), SegmentConfig.within(30.0)))
    assert len(sound) > 40 * 16000 and len(pieces) <= len(sound) / 16000 / 14.5 + 1
    assert max(piece.end - piece.start for piece in pieces) <= 30


def test_no_piece_ends_behind_the_recording():
    """A cut in the last window, which is filled up with zeros."""
    speech = read_samples(sorted(ROOT.glob("data/sample/*.flac"))[0])
    for extra in (1, 100, 400, 511):
        sound = np.tile(speech, 3)[: 2 * 512 * 40 + extra]
        pieces = list(cut_speech([sound], load_voice_activity(), SegmentConfig(longest=0.6, shortest=0.3)))
        assert pieces and max(piece.first + len(piece.samples) for piece in pieces) <= len(sound)


def test_texts_longer_than_the_positions_are_refused(folder):
    model = load_model(folder).model
    assert model.decoder.longest_text == 64 - 3 - 1
    memory = model.encode(*pad_samples([np.zeros(100, np.float32)]))
    assert model.decode_teacher_forced(memory, torch.full((1, 61), 50)).shape == (1, 61, 382)
    with pytest.raises(
        AsrError, match="65 tokens of a text and its prompt are more than the 64 that the model has positions"
    ):
        model.decode_teacher_forced(memory, torch.full((1, 62), 50))


def test_the_search_ends_where_the_positions_do(folder):
    """At 1,000 characters a second a greedy search would write 3,002 tokens of noise."""
    config = DecodeConfig(beam=1, max_chars_per_second=1000.0, stop_loops=False, redecode=False)
    noise = np.random.default_rng(1).normal(0, 0.1, 48000).astype(np.float32)
    loaded = load_model(folder)
    recognizer = Recognizer(loaded.model, loaded.tokenizer, config)
    recognizer.model.decoder.out.bias.data[321] = -100.0  # it never ends by itself
    (best,) = recognizer.recognize([noise])[0]
    assert len(best.hypothesis.tokens) == 60 and not best.hypothesis.complete


def test_a_unit_of_its_features_is_40_decibels(folder):
    """In a folder that was imported before features said so, too."""
    expected = torch.full((80,), 4 * math.log(10))
    assert torch.allclose(load_model(folder).model.unit, expected)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["features"]["unit"]
    copied = Path(shutil.copytree(folder, folder.parent / "older"))
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert torch.allclose(load_model(copied).model.unit, expected)


def test_a_checkpoint_in_16_bits_stays_what_it_is(copy, tmp_path):
    folder = copy(TINY)
    tensors = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors")
    out = import_model("whisper", folder, tmp_path / "model", dtype="float16").folder
    assert read_header(out / "model.safetensors")["dtype"] == "float16"
    embedding = load_model(out).model.decoder.embedding.weight
    assert torch.equal(embedding, tensors["model.decoder.embed_tokens.weight"].float())


def test_the_model_info_and_the_check_of_it(folder, run):
    status, out, _ = run("model", "info", folder)
    assert status == 0 and "toolkit     whisper" in out and "one memory frame per 20 ms" in out
    assert run("model", "check", folder)[:2] == (0, "tiny: nothing to doubt\n")


def test_a_benchmark_does_what_decoding_does(folder, tmp_path, run):
    sound = np.load(TINY / "golden.npz")["waveform"]
    soundfile.write(tmp_path / "long.wav", np.tile(sound, 2), 16000)
    options = ("--beam", 1, "--rounds", 1, "--decode", "stop_loops=false", "--decode", "max_chars_per_second=1000")
    status, out, err = run("benchmark", "--model", folder, tmp_path / "long.wav", *options)
    assert status == 0 and "1 rounds, medians" in out, err


def test_going_on_from_a_model_keeps_what_its_tokens_need(folder, toy_manifests, tmp_path, run):
    config = tmp_path / "recipe.toml"
    config.write_text(
        f"[data]\ntrain = ['{toy_manifests / 'train.jsonl'}']\ndev = ['{toy_manifests / 'dev.jsonl'}']\nmax_seconds = 3\n"
        "[train]\nmax_steps = 2\nwarmup_steps = 1\nevaluate_every = 2\nhealth_every = 0\n"
    )
    status, _, err = run("train", config, "--init", folder, "--out", tmp_path / "run", "--threads", 1)
    assert status == 0, err
    kept = json.loads((tmp_path / "run/decode.json").read_text())
    assert kept == json.loads((folder / "decode.json").read_text()) and kept["rule"] == "transformers"
    lines = (toy_manifests / "train.jsonl").read_text(encoding="utf-8").splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"text": "长" * 61}, ensure_ascii=False)
    config.write_text(config.read_text().replace(str(toy_manifests / "train.jsonl"), str(toy_manifests / "long.jsonl")))
    (toy_manifests / "long.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    status, _, err = run("train", config, "--init", folder, "--out", tmp_path / "other", "--threads", 1)
    assert status == 1 and re.search(
        r"long.jsonl:1: the text of \S+ has \d+ tokens, the model has positions for 60", err
    )


@pytest.fixture
def toy_manifests(tmp_path):
    prepare_toy(tmp_path / "toy", n_train=30, n_dev=4, n_test=4)
    return tmp_path / "toy"


@pytest.fixture(scope="module")
def wide():
    """A random model of a window of 30 s, and its tokenizer."""
    torch.manual_seed(3)
    foreign = IMPORTERS["whisper"](TINY)
    features = replace(foreign.features, window_seconds=30.0)
    encoder = replace(foreign.config.encoder, places=1500)
    model = SpeechModel(features, replace(foreign.config, encoder=encoder), len(foreign.table)).eval()
    model.cmvn.load_state_dict({"mean": torch.full((80,), -40.0), "inverse_std": torch.full((80,), 1 / 40)})
    return model, BytePairTokenizer(foreign.table)


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16000)).astype(np.float32)


def recognizer_of(wide, **settings) -> Recognizer:
    return Recognizer(*wide, DecodeConfig(beam=2, max_chars_per_second=2.0, stop_loops=False, **settings))


@pytest.mark.parametrize(
    ("seconds", "window", "filled"),
    [(1.0, "auto", 12.0), (4.0, "auto", 12.0), (4.1, "auto", 14.0), (21.9, "auto", 30.0), (29.0, "auto", 30.0),
     (1.0, 30.0, 30.0), (1.0, 5.0, 5.0), (7.001, 5.0, 7.02), (1.0, 5.01, 5.02), (1.0, 100.0, 30.0), (0.0, 0.001, 0.02)],
)  # fmt: skip
def test_the_window_of_a_piece(wide, seconds, window, filled):
    """At least the piece, at most the model's own; whole memory frames of 20 ms."""
    assert window_samples(wide[0], [round(seconds * 16000)], window) == [round(filled * 16000)]


def test_a_model_without_a_window_is_not_asked_for_one():
    model = random_model()
    assert window_samples(model, [100, 16000], "auto") == window_samples(model, [100, 16000], 30.0) == [100, 16000]


def test_a_window_is_what_audio_filled_up_with_zeros_is(wide):
    """A shorter window gives what a model gives that has no other one, also in a batch with longer ones."""
    model, sound = wide[0], noise(3)
    samples, lengths = pad_samples([sound, noise(6, 2)])
    windows = torch.tensor([5 * 16000, 8 * 16000])
    features, frames = model.log_mel(samples, lengths, windows)
    assert frames.tolist() == [500, 800]
    alone = LogMel(replace(model.log_mel.config, window_seconds=5.0))(torch.tensor(sound)[None], torch.tensor([48000]))
    assert torch.allclose(features[0, :500], alone[0][0], atol=1e-4) and not features[0, 500:].any()
    filled = LogMel(replace(model.log_mel.config, window_seconds=0.0))(
        torch.nn.functional.pad(torch.tensor(sound), (0, 32000))[None], torch.tensor([80000])
    )
    assert torch.allclose(features[0, :498], filled[0][0, :498], atol=1e-4)
    batch = model.encode(samples, lengths, windows)
    single = model.encode(torch.tensor(sound)[None], torch.tensor([48000]), windows[:1])
    assert batch.lengths.tolist() == [250, 400]
    assert torch.allclose(batch.encoded[0, :250], single.encoded[0], atol=1e-5)


def test_the_whole_window_is_what_it_is_without_a_choice(wide):
    sounds = [noise(2), noise(1, 2)]
    memory = encode(wide[0], sounds)
    chosen = encode(wide[0], sounds, windows=window_samples(wide[0], [len(s) for s in sounds], 30.0))
    assert torch.equal(memory.encoded, chosen.encoded) and memory.lengths.tolist() == [1500, 1500]


@pytest.mark.parametrize(("window", "filled"), [(None, 12.0), (30.0, 30.0)])
def test_known_text_is_aligned_in_the_windows_of_transcription(wide, tmp_path, monkeypatch, window, filled):
    heard, encode = [], wide[0].encode_features
    monkeypatch.setattr(wide[0], "encode_features", lambda x, n: heard.append(n.tolist()) or encode(x, n))
    decode = None if window is None else DecodeConfig(window=window)
    Aligner(LoadedModel("wide", *wide, {}, tmp_path), decode=decode).align((noise(3.0), 16000), "今天")
    assert heard == [[100 * filled]]


def test_windows_that_cannot_be_are_refused(wide):
    samples, lengths = pad_samples([noise(2)])
    for window in (31000, 31 * 16000):
        with pytest.raises(ValueError, match="a window is shorter than its audio, or longer than the model's"):
            wide[0].encode(samples, lengths, torch.tensor([window]))
    for value in ("short", 0.0, -1.0):
        with pytest.raises(ConfigError, match="decode.window must be auto or seconds above 0, is "):
            DecodeConfig(window=value)
    with pytest.raises(ConfigError, match="decode.window must be at most 3,600, is 4000"):
        DecodeConfig(window=4000.0)


class Looker:
    """A Watcher that keeps what it is told."""

    def __init__(self):
        self.cuts, self.lengths, self.best = [], [], []

    def search(self):
        return lambda looked: None

    def cut(self, samples, parts, reasons):
        self.cuts.append(([len(part) for part in parts], reasons))

    def decoded(self, watch, batch):
        self.lengths.append(batch.memory.lengths.tolist())
        self.best.append(batch.found[0][0].tokens)


def test_what_is_doubted_is_decoded_again_in_the_whole_window(wide):
    """A network of random weights is sure of nothing: every text of a short window is found anew in the whole one."""
    looker, sound = Looker(), noise(2)
    found = recognizer_of(wide, redecode=True).recognize([sound], timed=True, watcher=looker)[0][0]
    ((parts, reasons), *_) = looker.cuts
    assert parts == [32000] and UNSURE in reasons
    assert looker.lengths[-1] == [600] and [1500] in looker.lengths
    whole = recognizer_of(wide, redecode=True, window=30.0).recognize([sound], timed=True)[0][0]
    assert found == whole


def test_a_part_of_the_window_is_enough_only_where_texts_are_decoded_again(wide):
    looker = Looker()
    recognizer_of(wide, redecode=False).recognize([noise(2)], watcher=looker)
    assert looker.lengths == [[1500]] and not looker.cuts
    recognizer_of(wide, redecode=False, window=12.0).recognize([noise(2)], watcher=looker)
    assert looker.lengths[1:] == [[600]], "what was asked for"
    quick_recognizer(recognizer_of(wide)).recognize([noise(2)], watcher=looker)
    assert looker.lengths[2:] == [[600]], "live text is decoded again when the utterance is over"


def test_decoded_again_a_text_begins_with_what_is_known_of_it(wide):
    looker, known = Looker(), (70, 80, 90)
    recognizer_of(wide, redecode=True).recognize([noise(4)], watcher=looker, known=[known])
    begun = [
        tokens[:3] for length, tokens in zip(looker.lengths, looker.best, strict=True) if length in ([600], [1500])
    ]
    assert looker.cuts and begun == [known, known]


def test_several_that_are_doubted_come_back_in_their_places(wide):
    sounds = [noise(seconds, seed) for seed, seconds in enumerate((1.0, 3.0, 2.0))]
    settings = {"redecode": True, "batch_seconds": 40.0}
    found = recognizer_of(wide, **settings).recognize(sounds, timed=True)
    whole = recognizer_of(wide, **settings, window=30.0).recognize(sounds, timed=True)
    assert [nbest[0].text for nbest in found] == [nbest[0].text for nbest in whole]
    for sound, (best, *_) in zip(sounds, found, strict=True):
        assert all(0 <= start <= end <= len(sound) / 16000 + 0.02 for start, end in best.spans)


def test_reasons_for_more_silence():
    def of(tokens, log_prob):
        return reasons_for_silence(Hypothesis(tuple(tokens), 0.0, (log_prob,) * (len(tokens) + 1), {}, True, ()))

    assert of(range(20), -0.9) == ()
    assert of(range(20), -1.1) == (UNSURE,)
    assert of([*range(9), *range(9)], -0.1) == (WRITTEN_TWICE,)
    assert of([9, *[1, 2, 3, 4, 5, 6, 7, 8] * 3], -0.1) == (WRITTEN_TWICE,)
    assert of([9, *[1] * 6], -0.1) == of([9, *[1, 2] * 3], -0.1) == (WRITTEN_TWICE,)
    assert of([1, 2, 1, 2], -0.1) == of([9, *[1] * 5], -0.1) == (), "somebody may say that"
