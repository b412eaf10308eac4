"""Our own search with ONNX Runtime and without PyTorch finds what that in PyTorch does; what it cannot do is refused by name."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from asr.audio.speech_probabilities import SpeechProbabilities, silero_file
from asr.audio.voice_activity import load_voice_activity
from asr.audio.voice_activity_onnx import SILERO, OnnxVoiceActivity
from asr.corpus.toy import CHARACTERS
from asr.decoding import search as in_torch
from asr.decoding.beam import find_loops
from asr.decoding.ctc_prefix import CtcPrefixScorer
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.hotwords import HotwordScorer
from asr.decoding.ngram import NgramScorer
from asr.errors import CheckpointError, UsageError
from asr.exported.features import Features, log_mel
from asr.exported.hotwords import HotwordBonus
from asr.exported.recognizer import check_settings
from asr.exported.scorers import CtcPrefixes, Ngrams
from asr.exported.search import _loops, beam_search
from asr.features.fbank import DECIBELS, FeatureConfig, LogMel
from asr.text.sentence_pieces import pieces_of
from asr.transcription.exported import Exported
from tests.conftest import ROOT
from tests.sounds import speech

pytest.importorskip("onnxruntime", reason="pip install 'mandarin-asr[export]'")
SOS, EOS, BLANK, V, LIMIT = 2, 3, 0, 9, 30
WHISPER = FeatureConfig(
    kind="stft", low_hz=0.0, preemphasis=0.0, sample_scale=1.0, window="hann", fft_size=400, filters="slaney", floor=1e-10,
    decibels=True, range_db=80.0,
)  # fmt: skip
OWN = {"numpy", "onnxruntime", "safetensors", "soundfile", "soxr", "typer"}
"""What asr imports itself where there is no PyTorch."""
OF_THESE = {
    *("_cffi_backend", "_soundfile", "_soundfile_data", "cffi", "flatbuffers", "google", "packaging"),
    *("annotated_doc", "annotated_types", "markdown_it", "mdurl", "pydantic", "pydantic_core", "pygments", "rich"),
    *("click", "shellingham", "typing_extensions", "typing_inspection"),
}
"""What these may import."""
ALONE = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        known = package in sys.stdlib_module_names or package.startswith("_sysconfigdata")
        if not known and package not in {sorted(OWN | OF_THESE | {"asr"})}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=package)
sys.meta_path.insert(0, Blocked())
"""
"""Begins a program for which no other package is installed."""
COMMAND = f"{ALONE}from asr.cli import main; main()"


@pytest.mark.parametrize(
    "config",
    [FeatureConfig(), WHISPER, replace(WHISPER, window_seconds=4.0), replace(WHISPER, tail_seconds=0.5),
     replace(WHISPER, edges="zero", range_db=0.0)],
    ids=["kaldi", "whisper", "window", "tail", "zero"],
)  # fmt: skip
@pytest.mark.parametrize("n_samples", [800, 16_000, 37_123])
def test_features_are_those_of_pytorch(config, n_samples):
    mel, samples = LogMel(config), speech(3.0, 4)[:n_samples]
    expected = mel(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0].numpy()
    names = [name for name in Features.__dataclass_fields__ if name not in ("scale", "range")]
    scale = DECIBELS if config.decibels else 1.0
    features = Features(**{n: getattr(config, n) for n in names}, scale=scale, range=config.range_db)
    found = log_mel(samples, features, mel.window.numpy(), mel.mel.numpy())
    assert found.shape == expected.shape and found.dtype == np.float32
    # In nats; how the transforms round, loud sounds beside quiet bins magnify.
    difference, loud = np.abs(found - expected) / scale, expected > expected.max(1, keepdims=True) - 8 * scale
    assert difference[loud].max() < 1e-4 and difference.max() < 5e-3


def test_speech_is_found_where_pytorch_finds_it():
    samples = np.concatenate([np.zeros(8000, np.float32), speech(4.0, 3), np.zeros(9000, np.float32)])
    stream = SpeechProbabilities(OnnxVoiceActivity(silero_file(SILERO)))
    found = np.concatenate([stream.add(samples[i : i + 3000]) for i in range(0, len(samples), 3000)])
    assert np.abs(found - SpeechProbabilities(load_voice_activity()).add(samples)).max() < 1e-4


class Table:
    """A decoder whose next token depends on the last two and on their place: for both searches."""

    def __init__(self, seed: int, *, ends: float):
        random = np.random.default_rng(seed)
        logits = 2 * random.normal(size=(LIMIT + 2, V, V, V))
        logits[..., EOS] += ends
        logits[..., [BLANK, SOS]] = -np.inf
        self.log_probs = torch.from_numpy(logits).float().log_softmax(-1)
        self.sos, self.eos, self.n_utterances, self.device = SOS, EOS, 1, torch.device("cpu")


class InTorch(Table):
    def start(self):
        return None

    def score(self, tokens, state):
        n, before = (0, torch.full_like(tokens, SOS)) if state is None else state
        return self.log_probs[n, before, tokens], (n + 1, tokens)

    def select(self, state, chosen):
        return state[0], state[1][chosen.utterances[:, None], chosen.hypotheses]


class InNumpy(Table):
    def start(self):
        return None

    def score(self, tokens, state):
        n, before = (0, np.full_like(tokens, SOS)) if state is None else state
        return self.log_probs.numpy()[n, before, tokens], (n + 1, tokens)

    def select(self, state, origins):
        return state[0], state[1][origins]


ARPA = """\\data\\
ngram 1=6
ngram 2=4
ngram 3=1

\\1-grams:
-0.9 <s> -0.3
-0.8 </s>
-0.7 a -0.4
-0.9 b -0.2
-1.1 c -0.1
-1.5 <unk>

\\2-grams:
-0.2 <s> a -0.3
-0.4 a b -0.2
-0.5 b a
-0.3 c </s>

\\3-grams:
-0.1 <s> a b

\\end\\
"""


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rule", ["own", "transformers"])
@pytest.mark.parametrize("beam", [1, 3, 8])
@pytest.mark.parametrize("with_others", [False, True])
def test_the_search_finds_what_that_in_pytorch_does(seed, rule, beam, with_others, tmp_path):
    """Texts, ranks, what each scorer gives and warnings of all hypotheses; some never end."""
    config = DecodeConfig(
        beam=beam, nbest=beam, rule=rule, length_bonus=0.3 * (seed % 2), candidates=5, length_power=seed % 3 / 2
    )
    ends = (-1.0, -30.0)[seed == 5]
    others_torch, others_numpy = {}, {}
    if with_others:
        (tmp_path / "lm.arpa").write_text(ARPA)
        symbols = ["<blank>", "<unk>", "<sos>", "<eos>", "a", "b", "c", "d", "e"]
        ctc = torch.randn(1, 25, V, generator=torch.Generator().manual_seed(seed)).mul(2).log_softmax(-1)
        others_torch["ctc"] = CtcPrefixScorer(ctc, torch.tensor([25]), BLANK, EOS), 0.5
        others_numpy["ctc"] = CtcPrefixes(ctc[0].numpy(), BLANK, EOS), 0.5
        others_torch["lm"] = NgramScorer(tmp_path / "lm.arpa", symbols, EOS), 0.4
        others_numpy["lm"] = Ngrams(tmp_path / "lm.arpa", symbols, EOS), 0.4
        words = {(4, 5): 1.5, (5, 6, 7): 2.0, (6,): 0.5, (4, 5, 8, 7): 3.0, (7, 8): -1.0}
        others_torch["hotwords"] = HotwordScorer(words, V, EOS, 2.0), 1.0
        others_numpy["hotwords"] = HotwordBonus(words, V, EOS, 2.0), 1.0
    [expected] = in_torch.beam_search(InTorch(seed, ends=ends), config, [LIMIT], others_torch)
    found = beam_search(InNumpy(seed, ends=ends), config, LIMIT, others_numpy)[: config.nbest]
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-3) and ours.warnings == theirs.warnings
        assert ours.complete == theirs.complete and ours.scores == pytest.approx(theirs.scores, abs=1e-2)
        assert ours.token_log_probs == pytest.approx(theirs.token_log_probs, abs=1e-4)


def test_what_repeats_itself_is_stopped():
    tokens = np.array([[4, 5, 6] * 4, [4] * 12, [4, 5, 6] * 3 + [4, 5, 7], [8] + [4, 5] * 5 + [4]])
    assert (
        _loops(tokens).tolist() == find_loops(torch.from_numpy(tokens)[None])[0].tolist() == [True, True, False, False]
    )


def without_torch(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_what_is_imported_where_there_is_no_pytorch(tmp_path):
    """All that stands around the graphs: reading, resampling, finding speech, tokens, formats. Transcribing is tried below."""
    soundfile.write(tmp_path / "a.wav", speech(1.0, 1, 8000), 8000)
    code = f"""{ALONE}
import asr.cli, asr.exported.recognizer, asr.exported.scorers, asr.transcription.exported, asr.transcription.many_files
from asr.audio.reading import read_samples
from asr.audio.speech_probabilities import SpeechProbabilities
from asr.audio.voice_activity_onnx import OnnxVoiceActivity
samples = read_samples({str(tmp_path / "a.wav")!r})
assert SpeechProbabilities(OnnxVoiceActivity({str(silero_file(SILERO))!r})).add(samples).max() > 0.5
from asr.outputs.writers import WRITERS
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert OWN - set(done.stdout.split()) == {"safetensors"}  # which the model's own arrays need


@pytest.mark.parametrize(
    ("arguments", "package"), [(("transcribe", "a.wav"), "PyTorch"), (("score", "a", "b"), "rapidfuzz")], ids=str
)
def test_what_is_not_installed_is_named(arguments, package):
    done = without_torch(*arguments)
    assert done.returncode == 2 and done.stderr == (
        f"asr: this needs {package}, which is not installed: `pip install -c constraints.txt .` in a checkout of the program"
        " brings it; without it there is `asr transcribe --backend onnx`\n"
    )


@pytest.mark.slow
def test_recordings_are_transcribed_without_pytorch(exported_model, tmp_path, run):
    """A random model with a CTC head: texts and times in json, and txt with hot words, are those of the search in PyTorch."""
    folder = exported_model("conformer")
    for seed, seconds in enumerate((1.3, 2.5, 4.0)):
        soundfile.write(tmp_path / f"{seed}.wav", speech(seconds, seed), 16000)
    clips = ("transcribe", *sorted(tmp_path.glob("*.wav")), "--decode", "max_chars_per_second=5")
    torch, onnx = ("--model", folder / "model"), ("--model", folder / "onnx", "--backend", "onnx")
    status, expected, _ = run(*clips, *torch, "--format", "json")
    done = without_torch(*clips, *onnx, "--format", "json")
    assert done.returncode == status == 0, done.stderr
    for ours, theirs in zip(done.stdout.splitlines(), expected.splitlines(), strict=True):
        ours, theirs = (
            [token for segment in json.loads(x)["segments"] for token in segment["tokens"]] for x in (ours, theirs)
        )
        assert len(theirs) > 2 and [token["text"] for token in ours] == [token["text"] for token in theirs]
        starts = [[token["start"] for token in tokens] for tokens in (ours, theirs)]
        assert starts[0] == pytest.approx(starts[1], abs=0.05)
    (tmp_path / "words.txt").write_text(f"{CHARACTERS[3]}{CHARACTERS[7]}\t9\n{CHARACTERS[5]}\t8\n", encoding="utf-8")
    words = ("--hotwords", tmp_path / "words.txt")
    (_, without, _), (_, expected, _) = run(*clips, *torch), run(*clips, *torch, *words)
    done = without_torch(*clips, *onnx, *words)
    assert done.stdout == expected != without and ": hot words " in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--speakers", "2"], "--speakers: is not possible with --backend onnx"),
        (["--workers", "2"], "--workers: is not possible with --backend onnx"),
        (["--quantize", "int8"], "asr model export --format onnx --dtype int8` makes a folder of fewer bits"),
        (["--punctuate", "model"], "--punctuate pauses is"),
        (["--device", "cuda"], "it runs on the CPU"),
        (["--backend", "jax"], "'jax' is not one of torch, onnx"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_needs_pytorch_is_refused_by_name(run, options, message):
    given = () if "--backend" in options else ("--backend", "onnx")
    status, _, err = run("transcribe", "a.wav", *given, *options)
    assert status == 2 and message in " ".join(err.split())


def test_settings_that_the_graph_holds_are_refused_by_name():
    exported = DecodeConfig(eos_threshold=1.5)
    check_settings(replace(exported, beam=2), exported)
    for change, message in (
        ({"eos_threshold": 0.0}, "decode.eos_threshold is part of the exported graph: export the model"),
        (
            {"coverage_weight": 0.3},
            "decode.coverage_weight is not possible with --backend onnx; --decode coverage_weight=0",
        ),
        ({"rule": "wenet"}, "decode.rule wenet is not possible with --backend onnx, which knows own, transformers"),
    ):
        with pytest.raises(UsageError, match=message):
            check_settings(replace(exported, **change), exported)


def test_a_graph_hears_its_whole_window():
    """auto means it, as more than it does in PyTorch; less would be another graph. Without one there is nothing to choose."""
    exported = DecodeConfig()
    for window in ("auto", 30, 40):
        check_settings(replace(exported, window=window), exported, 30.0)
    check_settings(replace(exported, window=12), exported)
    with pytest.raises(
        UsageError,
        match="^decode.window is part of the exported graph, which hears its whole 30 s: --decode window=auto$",
    ):
        check_settings(replace(exported, window=12), exported, 30.0)


def test_a_folder_without_graphs_is_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match="is no folder of ONNX files for --backend onnx .* where PyTorch is installed"
    ):
        Exported(tmp_path)
    (tmp_path / "asr.json").write_text('{"format_version": 9}')
    with pytest.raises(CheckpointError, match="its format is 9, this program knows 1"):
        Exported(tmp_path)


def test_pieces_need_a_package_that_not_every_model_does(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UsageError, match="pieces.model: needs the package sentencepiece: pip install 'sentencepiece>="):
        pieces_of(tmp_path / "pieces.model")


def test_what_is_installed_without_pytorch_is_what_the_package_needs_but_for_pytorch():
    """onnx-only/pyproject.toml has the bounds of pyproject.toml, and names what is imported."""
    whole, part = (
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder in (".", "onnx-only")
    )
    assert {re.split("[<>]", line)[0] for line in part["dependencies"]} == OWN
    known = {*whole["dependencies"], *whole["optional-dependencies"]["export"]}
    assert part["optional-dependencies"]["text"] == whole["optional-dependencies"]["text"]
    known |= {*part["optional-dependencies"]["text"]}
    for line in (*part["dependencies"], *(line for extra in part["optional-dependencies"].values() for line in extra)):
        assert line in known
    for name in ("requires-python", "license", "dynamic", "scripts"):
        assert part[name] == whole[name]
