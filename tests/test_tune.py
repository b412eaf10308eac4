"""Decoding settings: saved with a model, changed on the command line, chosen on a dev set; hot words in use."""

import json
import shutil

import pytest

from asr.catalogue.decode_settings import DECODE, changes, decode_settings, save_decode_settings
from asr.corpus.manifest import read_manifest, write_manifest
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.wordlists import read_hotwords
from asr.errors import CheckpointError, ConfigError
from asr.model.folder import load_model, save_model
from asr.model.model import SpeechModel
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from tests.conftest import random_model


def test_settings_of_the_model_then_of_the_call(tmp_path):
    assert decode_settings(tmp_path) == DecodeConfig()
    save_decode_settings(tmp_path, DecodeConfig(beam=8, ctc_weight=1.0))
    assert json.loads((tmp_path / DECODE).read_text()) == {"beam": 8, "ctc_weight": 1.0}
    assert decode_settings(tmp_path) == DecodeConfig(beam=8, ctc_weight=1.0)
    assert decode_settings(tmp_path, changes([], beam=None, nbest=2)) == DecodeConfig(beam=8, ctc_weight=1.0, nbest=2)
    assert decode_settings(tmp_path, changes(["ctc_weight=0.3", "stop_loops=false"], beam=2)) == DecodeConfig(
        beam=2, ctc_weight=0.3, stop_loops=False
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ctc_wieght=1", "decode.ctc_wieght: there is no such setting; did you mean ctc_weight?"),
        ("beam", "--decode beam: must have the form key=value"),
        ("decode.beam=3", "--decode decode.beam=3: must have the form key=value"),
        ("beam=many", "decode.beam must be a whole number"),
    ],
)
def test_wrong_settings(tmp_path, override, message):
    with pytest.raises(ConfigError, match=message):
        decode_settings(tmp_path, changes([override]))


def test_damaged_settings(tmp_path):
    (tmp_path / DECODE).write_text("{")
    with pytest.raises(CheckpointError, match="decode.json: damaged"):
        decode_settings(tmp_path)
    (tmp_path / DECODE).write_text("[]")
    with pytest.raises(CheckpointError, match="must be a JSON object of decoding settings"):
        decode_settings(tmp_path)


@pytest.fixture
def small(tmp_path, tokenizer):
    save_model(tmp_path / "model", random_model(), tokenizer.table)
    return tmp_path / "model"


def test_tune_keeps_what_is_best(run, small, toy_corpus, tmp_path):
    few = tmp_path / "dev.jsonl"
    lines = toy_corpus["dev"].read_text().splitlines()[:3]
    rows = [json.loads(line) for line in lines]
    few.write_text("".join(json.dumps(r | {"audio": str(toy_corpus["dev"].parent / r["audio"])}) + "\n" for r in rows))
    text = tmp_path / "text.txt"
    text.write_text("".join(r["text"] + "\n" for r in rows), encoding="utf-8")
    assert run("train-lm", text, "--out", tmp_path / "lm.arpa", "--order", "2")[0] == 0
    status, out, err = run("tune", small, few, "--lm", tmp_path / "lm.arpa", "--decode", "beam=2")
    assert status == 0 and out.startswith("CER ") and ": beam 2" in out
    tried = [line.split(":")[0] for line in err.splitlines()]
    assert tried[0] == "as it is" and "lm_weight 0.1" in tried and not any(line.startswith("beam") for line in tried)
    rates = [float(line.split("CER ")[1].split(" %")[0]) for line in err.splitlines() if "CER " in line]
    assert float(out.split()[1]) == min(rates) and (small / DECODE).is_file()
    status, out, _ = run("evaluate", small, few, "--lm", tmp_path / "lm.arpa", "--decode", "beam=2")
    assert f"{min(rates):.2f} %" in out.splitlines()[0]


def test_a_model_comes_with_a_language_model(run, small, toy_corpus, tmp_path):
    """Asked for by nobody it is used; --lm takes another one or none, and so does the weight 0."""
    few = tmp_path / "dev.jsonl"
    row = json.loads(toy_corpus["dev"].read_text().splitlines()[0])
    few.write_text(json.dumps(row | {"audio": str(toy_corpus["dev"].parent / row["audio"])}) + "\n")
    (tmp_path / "text.txt").write_text(row["text"] + "\n", encoding="utf-8")
    arpa, decode = tmp_path / "lm.arpa", ["--decode", "lm_weight=9", "--decode", "candidates=99"]
    assert run("train-lm", tmp_path / "text.txt", "--out", arpa, "--order", "2")[0] == 0

    def text(*options) -> str:
        return run("transcribe", "--model", small, read_manifest(few)[0].audio, *decode, *options)[1]

    without, with_it = text(), text("--lm", arpa)
    assert without != with_it
    status, _, err = run("model", "add-lm", small, arpa)
    assert status == 0 and err.startswith(f"{small}/lm.safetensors: ")
    assert text() == with_it
    status, _, err = run("model", "add-lm", "embedded", arpa, "--force")
    assert status == 2 and "a model that is known by a name is not changed" in " ".join(err.split())
    assert text("--lm", "none") == text("--decode", "lm_weight=0") == without
    assert run("evaluate", small, few, "--out", tmp_path / "eval")[0] == 0
    result = json.loads((tmp_path / "eval/result.json").read_text())
    assert result["settings"]["lm"] == f"{small}/lm.safetensors"
    tried = run("tune", small, few, "--decode", "beam=1")[2]
    assert "lm_weight 0.1: " in tried and "lm_weight 0.1: " not in run("tune", small, few, "--lm", "none")[2]


def test_a_weight_of_what_is_not_there_is_told(run, small, toy_corpus):
    audio = read_manifest(toy_corpus["test"])[0].audio
    weights = ["--decode", "ctc_weight=0.3", "--decode", "lm_weight=0.5", "--decode", "reverse_weight=0.3"]
    found = run("transcribe", "--model", small, audio, *weights)[2].splitlines()
    assert found[:2] == [
        "asr: --decode lm_weight=0.5: changes nothing, there is no language model",
        "asr: --decode reverse_weight=0.3: changes nothing, the model has no right-to-left decoder",
    ]
    assert "changes nothing" not in run("transcribe", "--model", small, audio, "--decode", "lm_weight=0")[2]


def test_hot_words_are_reported(run, small, toy_corpus, tmp_path):
    audio = read_manifest(toy_corpus["test"])[0].audio
    plain = run("transcribe", "--model", small, audio)[1].strip()
    (tmp_path / "hot.txt").write_text(f"{plain[:2]}\n龘龘\n", encoding="utf-8")
    status, out, err = run("transcribe", "--model", small, audio, "--hotwords", tmp_path / "hot.txt")
    assert status == 0 and plain[:2] in out
    assert "hot words with characters that the model cannot write are left out: 龘龘" in err
    assert f"s: hot words {plain[:2]}" in err


def with_homophones(folder, rare: dict[str, str]) -> tuple[SpeechModel, CharacterTokenizer]:
    """The model with a second, slightly rarer spelling for some characters, which sounds exactly the same."""
    loaded = load_model(folder)
    table = loaded.tokenizer.table
    larger = SpeechModel(loaded.model.log_mel.config, loaded.model.config, len(table) + len(rare)).eval()
    rows = [*range(len(table)), *(table.ids[common] for common in rare)]
    weights = loaded.model.state_dict()
    for name in ("decoder.embedding.weight", "decoder.out.weight", "decoder.out.bias"):
        weights[name] = weights[name][rows].clone()
    weights["decoder.out.bias"][len(table) :] -= 0.5
    larger.load_state_dict(weights)
    return larger, CharacterTokenizer(TokenTable([*table.tokens, *rare.values()]))


@pytest.mark.slow
def test_hot_words_choose_among_homophones(toy_run, toy_corpus, tmp_path):
    rare = {"妈": "马", "米": "迷", "西": "希", "卡": "咖", "色": "瑟", "哭": "枯"}
    model, tokenizer = with_homophones(toy_run, rare)
    utterances = [u for u in read_manifest(toy_corpus["test"]) if set(u.text) & rare.keys()]
    spelled = [u.text.translate(str.maketrans(rare)) for u in utterances]
    hot = {text[max(0, n - 1) : n + 1] for text in spelled for n, c in enumerate(text) if c in rare.values()}
    (tmp_path / "hot.txt").write_text("\n".join(sorted(hot)), encoding="utf-8")
    words = read_hotwords(tmp_path / "hot.txt", tokenizer, tokenizer.table, 2.0)
    audio = [u.read() for u in utterances]

    def recall(recognizer: Recognizer) -> float:
        found = total = 0
        for text, nbest in zip(spelled, recognizer.recognize(audio), strict=True):
            for c in rare.values():
                total += text.count(c)
                found += min(text.count(c), nbest[0].text.count(c))
        return found / total

    before, after = recall(Recognizer(model, tokenizer)), recall(Recognizer(model, tokenizer, hotwords=words))
    print(f"recall of rare spellings: {100 * before:.1f} % without, {100 * after:.1f} % with {len(hot)} hot words")
    assert before <= 0.5 and after >= 0.9


def test_a_model_that_is_known_by_a_name_is_not_changed(run, tmp_path):
    status, _, err = run("tune", "embedded", tmp_path / "dev.jsonl")
    assert status == 2 and "a model that is known by a name is not changed" in " ".join(err.replace("│", " ").split())


def test_tune_never_ends_worse_than_the_model_was(run, toy_run, toy_corpus, tmp_path):
    """What is asked for stays fixed, here what spoils every text: then nothing is saved."""
    folder = tmp_path / "toy"
    shutil.copytree(toy_run, folder)
    save_decode_settings(folder, DecodeConfig(beam=2))
    few = first_lines(toy_corpus["dev"], 6, tmp_path / "dev.jsonl")
    before = run("evaluate", folder, few)[1].splitlines()[0]
    status, out, err = run("tune", folder, few, "--decode", "length_bonus=50", "--decode", "beam=4")
    assert status == 0 and err.splitlines()[-1] == "nothing of this is better than the model as it is, which stays so"
    assert out == f"{before}: beam 2\n" and json.loads((folder / DECODE).read_text()) == {"beam": 2}


@pytest.fixture
def helped_by_lm(monkeypatch):
    """Dev sets that a language model halves the errors of, whatever its weight."""

    def evaluate(self, recognizer):
        helps = recognizer.lm is not None and recognizer.config.lm_weight
        return CharErrors(substitutions=1 if helps else 2, reference=10)

    monkeypatch.setattr("asr.training.evaluation.DevSet.evaluate", evaluate)


@pytest.mark.parametrize("kind", ["ngram", "transformer"])
def test_the_language_model_of_a_tuning_becomes_the_models(run, small, toy_corpus, tmp_path, kind, helped_by_lm):
    """Without it the settings would hold for another one: from then on it is what the model is decoded with."""
    few = first_lines(toy_corpus["dev"], 3, tmp_path / "dev.jsonl")
    text, lm = tmp_path / "text.txt", tmp_path / "lm"
    text.write_text("".join(u.text + "\n" for u in read_manifest(few)) * 20, encoding="utf-8")
    small_ones = ["--set", "model.width=16", "--set", "model.decoder.layers=1", "--set", "epochs=1"]
    sizes = small_ones if kind == "transformer" else ["--order", "2"]
    assert run("train-lm", text, "--out", lm, "--kind", kind, *sizes)[0] == 0
    (small / "lm.kenlm").write_text("the one before")
    save_decode_settings(small, DecodeConfig(lm_weight=0.0))
    status, out, err = run("tune", small, few, "--lm", lm, "--decode", "lm_weight=3", "--decode", "beam=2")
    kept = small / {"ngram": "lm.safetensors", "transformer": "lm"}[kind]
    assert status == 0 and out.startswith("CER 10.00 % ")
    assert err.splitlines()[-1] == f"{kept}: the model's language model is now {lm}"
    assert kept.exists() and not (small / "lm.kenlm").exists()
    assert json.loads((small / DECODE).read_text()) == {"beam": 2, "lm_weight": 3.0}
    assert run("evaluate", small, few, "--out", tmp_path / "eval")[0] == 0
    assert json.loads((tmp_path / "eval/result.json").read_text())["settings"]["lm"] == str(kept)
    status, _, err = run("model", "add-lm", small, lm)
    assert status == 1 and "is there already" in err
    assert run("model", "add-lm", small, lm, "--force")[0] == 0
    assert f"LM          {kept.name}" in run("model", "info", small)[1].splitlines()


def test_a_language_model_that_does_not_help_is_not_kept(run, small, toy_corpus, tmp_path, monkeypatch):
    few = first_lines(toy_corpus["dev"], 1, tmp_path / "dev.jsonl")
    (tmp_path / "text.txt").write_text(read_manifest(few)[0].text + "\n", encoding="utf-8")
    assert run("train-lm", tmp_path / "text.txt", "--out", tmp_path / "lm.arpa", "--order", "2")[0] == 0
    worse = lambda self, recognizer: CharErrors(substitutions=1 + (recognizer.lm is not None), reference=10)  # noqa: E731
    monkeypatch.setattr("asr.training.evaluation.DevSet.evaluate", worse)
    status, out, err = run("tune", small, few, "--lm", tmp_path / "lm.arpa")
    assert status == 0 and out == "CER 10.00 % [ 1 S, 0 D, 0 I / 10 ]: the defaults\n"
    assert err.splitlines()[-1] == "nothing of this is better than the model as it is, which stays so"
    assert not (small / "lm.safetensors").exists() and not (small / DECODE).exists()


def test_a_tuning_without_the_models_own_language_model_says_so(run, small, toy_corpus, tmp_path):
    few = first_lines(toy_corpus["dev"], 2, tmp_path / "dev.jsonl")
    text, lm = tmp_path / "text.txt", tmp_path / "lm.arpa"
    text.write_text("".join(u.text + "\n" for u in read_manifest(few)), encoding="utf-8")
    assert run("train-lm", text, "--out", lm, "--order", "2")[0] == 0 and run("model", "add-lm", small, lm)[0] == 0
    save_decode_settings(small, DecodeConfig(lm_weight=9, beam=1))
    status, out, err = run("tune", small, few, "--lm", "none")
    assert status == 0
    if "which stays so" not in err:
        assert json.loads((small / DECODE).read_text())["lm_weight"] == 0.0
    assert run("evaluate", small, few)[1].splitlines()[0] == out.partition(": ")[0]


def first_lines(manifest, n: int, out):
    """A manifest of the first utterances of another."""
    write_manifest(out, read_manifest(manifest)[:n])
    return out
