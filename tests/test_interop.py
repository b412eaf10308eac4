"""Checkpoints that other toolkits' own code wrote, against what that code computed with them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.decoding.decode_config import DecodeConfig
from asr.decoding.rescoring import REVERSE
from asr.decoding.search import DECODER, beam_search
from asr.features.fbank import pad_samples
from asr.interop.importing import IMPORTERS, build, import_model
from asr.model.folder import load_model
from asr.recognition.listening import NetworkScorer
from asr.recognition.recognizer import Recognizer
from asr.text.byte_pairs import BytePairTokenizer, holds_bytes
from asr.text.tokenizer import CharacterTokenizer
from tests.conftest import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "interop"
TOOLKITS = {
    "wenet": "wenet",
    "espnet2": "espnet",
    "fireredasr": "firered",
    "fireredasr2": "firered",
    "speechbrain": "speechbrain",
    "whisper": "whisper",
    "dolphin": "dolphin",
    "cohere": "cohere",
}
VARIANTS = ROOT / "tests" / "fixtures" / "interop-variants"
FOLDERS = {path.name: path for parent in (FIXTURES, VARIANTS) for path in sorted(parent.iterdir()) if path.is_dir()}
CASES = list(FOLDERS)
EXACT = 2e-5
CTC_GATE = {"fireredasr2-aed": 1e-4}
FROM_WAVEFORM = 1e-3


class Case:
    """A fixture, imported, beside its toolkit's numbers."""

    def __init__(self, name: str):
        self.name, self.folder = name, FOLDERS[name]
        self.toolkit = TOOLKITS[name.partition("-")[0]]
        self.foreign = IMPORTERS[self.toolkit](self.folder)
        self.foreign.tensors.finish()
        self.model, self.table = build(self.foreign), self.foreign.table
        self.golden = np.load(self.folder / "golden.npz")
        self.facts = json.loads((self.folder / "golden.json").read_text(encoding="utf-8"))
        self.normalised = self.golden["feats_cmvn" if "feats_cmvn" in self.golden else "feats"]
        self.tokenizer = (BytePairTokenizer if holds_bytes(self.table) else CharacterTokenizer)(self.table)

    def encode(self, *names: str):
        samples, lengths = pad_samples([self.golden[name] for name in names])
        return self.model.encode(samples, lengths)

    def encode_golden_features(self):
        features = torch.from_numpy(self.normalised)[None]
        return self.model.encode_features(features, torch.tensor([features.shape[1]]))

    def search(self, memory, beam: int, limit: int, **settings):
        config = DecodeConfig(**{"rule": self.foreign.decode["rule"], "beam": beam, "stop_loops": False} | settings)
        scorer = NetworkScorer(
            self.model, memory, self.table, 1.0, never_written=self.foreign.decode.get("never_written", ())
        )
        return beam_search(scorer, config, [limit])[0]


def distance(ours: torch.Tensor, theirs: np.ndarray) -> float:
    assert tuple(ours.shape) == theirs.shape
    return float(np.abs(ours.numpy() - theirs).max())


@pytest.fixture(scope="module", params=CASES)
def case(request):
    with torch.inference_mode():
        yield Case(request.param)


def test_features_and_encoder_from_the_waveform(case):
    samples, lengths = pad_samples([case.golden["waveform"]])
    raw, frames = case.model.log_mel(samples, lengths)
    assert frames.tolist() == case.golden["feats_lens"][:1].tolist()
    if "feats_cmvn" in case.golden:
        assert distance(raw[0], case.golden["feats"]) < FROM_WAVEFORM
    assert distance(case.model.cmvn(raw)[0], case.normalised) < FROM_WAVEFORM
    assert distance(case.encode("waveform").encoded[0], case.golden["encoder_out"]) < FROM_WAVEFORM


def test_encoder_decoder_and_ctc_from_the_features(case):
    memory = case.encode_golden_features()
    assert distance(memory.encoded[0], case.golden["encoder_out"]) < EXACT
    prompt, tokens = list(case.model.config.decoder.prompt), case.golden["tokens_in"].tolist()
    assert tokens[: len(prompt)] == prompt
    logits = case.model.decode_teacher_forced(memory, torch.tensor([tokens[len(prompt) :]]))
    assert distance(logits[0].log_softmax(-1), case.golden["log_probs"][len(prompt) :]) < EXACT
    if "ctc_log_probs" in case.golden:
        said = case.model.ctc(memory.encoded)[0].log_softmax(-1)
        assert distance(said, case.golden["ctc_log_probs"]) < CTC_GATE.get(case.name, EXACT)
    else:
        assert case.model.ctc is None


def test_a_padded_batch_gives_what_each_utterance_gives_alone(case):
    batch, alone = case.encode("waveform", "waveform2"), case.encode("waveform2")
    n = int(alone.lengths[0])
    assert batch.lengths[1] == n
    assert float((batch.encoded[1, :n] - alone.encoded[0]).abs().max()) < EXACT
    if "encoder_out2" in case.golden:
        assert distance(alone.encoded[0], case.golden["encoder_out2"]) < FROM_WAVEFORM


def test_greedy_tokens(case):
    for audio, golden in (("waveform", "greedy_tokens"), ("waveform2", "greedy2_tokens")):
        theirs = [t for t in case.golden[golden].tolist() if t != case.table.eos]
        found = case.search(case.encode(audio), 1, 20)[0]
        assert list(found.tokens)[: len(theirs)] == theirs
        assert found.complete == (case.table.eos in case.golden[golden])
        if golden == "greedy_tokens":
            assert case.tokenizer.decode(theirs) == case.facts["text"]["greedy"]


def test_beam_tokens_score_and_text(case):
    memory = case.encode("waveform")
    facts = case.facts["beam"]
    normalised = facts.get("length_normalization", False) or facts.get("length_penalty") == 1.0
    limit = facts.get("decode_max_len") or facts.get("max_new_tokens") or memory.encoded.shape[1]
    best = case.search(memory, 5, limit, length_power=1.0 if normalised else 0.0)[0]
    assert list(best.tokens) == case.golden["beam_tokens"].tolist()
    assert best.score == pytest.approx(float(case.golden["beam_score"]), abs=1e-3)
    assert case.tokenizer.decode(best.tokens) == case.facts["text"]["beam"]
    for beam in (3, 10):
        if f"beam{beam}_tokens" in case.golden:
            assert (
                list(case.search(memory, beam, limit, length_power=0.0)[0].tokens)
                == case.golden[f"beam{beam}_tokens"].tolist()
            )


@pytest.mark.parametrize("name", ["fireredasr-aed", "fireredasr2-aed"])
def test_fireredasrs_default_settings(name):
    with torch.inference_mode():
        case = Case(name)
        scorer = NetworkScorer(case.model, case.encode("waveform"), case.table, temperature=1.25)
        config = DecodeConfig(**case.foreign.decode | {"stop_loops": False, "ctc_weight": 0.0})
        best = beam_search(scorer, config, [30])[0][0]
    assert case.tokenizer.decode(best.tokens) == case.facts["text"]["beam_default"]


def test_texts_become_the_tokens_that_the_toolkit_makes_of_them(tmp_path):
    case = Case("fireredasr-aed")
    import_model(case.toolkit, case.folder, tmp_path / "model")
    tokenizer = load_model(tmp_path / "model").tokenizer
    sos, *theirs = case.golden["tokens_in"].tolist()
    assert sos == tokenizer.table.sos and tokenizer.encode(case.facts["text"]["tokens_in_source"]) == theirs
    assert tokenizer.decode(theirs) == case.facts["text"]["tokens_in"]


def test_the_right_to_left_decoder_and_its_rescoring():
    with torch.inference_mode():
        case = Case("wenet-u2pp-conformer")
        reverse, memory = case.model.reverse_decoder, case.encode_golden_features()
        tokens = torch.from_numpy(case.golden["r_tokens_in"])[None, None]
        logits, _ = reverse(tokens, reverse.start(memory.values, memory.mask))
        assert distance(logits[0, 0].log_softmax(-1), case.golden["r_log_probs"]) < EXACT
        both = _recognized(case, reverse_weight=0.3)
        assert all(h.scores.keys() == {DECODER, REVERSE} for h in both)
        for h in both:
            text = [case.table.sos, *reversed(h.tokens)]
            logits, _ = reverse(torch.tensor([[text]]), reverse.start(memory.values, memory.mask))
            said = logits[0, 0].log_softmax(-1)[range(len(text)), [*text[1:], case.table.eos]].sum()
            assert h.scores[REVERSE] == pytest.approx(float(said), abs=1e-3)
            assert h.score == pytest.approx(0.7 * h.scores[DECODER] + 0.3 * h.scores[REVERSE], abs=1e-4)
        assert [h.score for h in both] == sorted((h.score for h in both), reverse=True)
        assert {h.tokens for h in _recognized(case)} == {h.tokens for h in both}


def _recognized(case: Case, **settings):
    config = DecodeConfig(
        beam=5, nbest=5, ctc_weight=0.0, length_power=0.0, stop_loops=False, redecode=False, **settings
    )
    recognizer = Recognizer(case.model, CharacterTokenizer(case.table), config)
    return [r.hypothesis for r in recognizer.recognize([case.golden["waveform"]])[0]]


@pytest.mark.parametrize("name", CASES)
def test_the_model_folder_computes_the_same(name, tmp_path):
    case = Case(name)
    imported = import_model(case.toolkit, case.folder, tmp_path / name, {"licence": "none", "source": "a test"})
    loaded = load_model(imported.folder)
    assert loaded.name == name and loaded.metadata["licence"] == "none"
    assert "| source | a test |" in (imported.folder / "README.md").read_text(encoding="utf-8")
    samples = torch.from_numpy(case.golden["waveform"])[None]
    with torch.inference_mode():
        memory = loaded.model.encode(samples, torch.tensor([samples.shape[1]]))
    assert distance(memory.encoded[0], case.golden["encoder_out"]) < FROM_WAVEFORM
    half = import_model(case.toolkit, case.folder, tmp_path / f"{name}-half", dtype="float16")
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (imported.folder, half.folder)]
    assert sizes[1] < 0.65 * sizes[0] and load_model(half.folder)


def without(source: Path, folder: Path, checkpoint: str, *tensors: str) -> None:
    """Copies the files of a folder; the checkpoint lacks these tensors then."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    state = torch.load(folder / checkpoint, weights_only=True)
    for name in tensors:
        del state[name]
    torch.save(state, folder / checkpoint)


def test_global_cmvn_of_a_wenet_folder_is_read_where_the_checkpoint_has_no_statistics(tmp_path):
    case = Case("wenet-transformer")
    without(case.folder, tmp_path, "final.pt", "encoder.global_cmvn.mean", "encoder.global_cmvn.istd")
    weights = IMPORTERS["wenet"](tmp_path).weights
    for name in ("cmvn.mean", "cmvn.inverse_std"):
        assert torch.allclose(weights[name], case.foreign.weights[name], rtol=1e-4)


def test_feats_stats_of_an_espnet_folder_are_read_in_both_forms(tmp_path):
    case = Case("espnet2-conformer")
    without(case.folder, tmp_path, "valid.acc.ave.pth", "normalize.mean", "normalize.std")
    named = IMPORTERS["espnet"](tmp_path).weights
    stats = np.load(tmp_path / "feats_stats.npz")
    rows = np.zeros((2, 81))
    rows[0, :80], rows[1, :80], rows[0, 80] = stats["sum"], stats["sum_square"], stats["count"]
    with open(tmp_path / "feats_stats.npz", "wb") as file:
        np.save(file, rows)
    in_rows = IMPORTERS["espnet"](tmp_path).weights
    for name in ("cmvn.mean", "cmvn.inverse_std"):
        assert torch.allclose(named[name], case.foreign.weights[name], rtol=1e-4)
        assert torch.equal(named[name], in_rows[name])


def test_fixtures_are_there():
    assert len(CASES) == 25 and all((FOLDERS[name] / "golden.npz").is_file() for name in CASES)
