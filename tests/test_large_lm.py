"""Large language models in the layout of Hugging Face rank what the search found; transformers makes small random ones here."""

import json
import shutil
import sys
from importlib.util import find_spec

import pytest
import torch

import asr
from asr.catalogue.opening import Decoding, open_decoding
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.rescoring import LARGE_LM, prefer_likely_texts
from asr.decoding.search import Hypothesis
from asr.errors import AsrError, Cancelled, CheckpointError, UsageError
from asr.evaluation.evaluate import _settings, _started_with
from asr.recognition import large_lm
from asr.recognition.large_lm import is_large_lm, load_large_lm
from asr.transcription.exported import Exported
from asr.transcription.live import LiveTranscriber
from asr.transcription.made_with import made_with
from tests.conftest import ROOT

TOY = ROOT / "tests/fixtures/toy"
CLIP = ROOT / "data/sample/weather.flac"
CHARACTERS = "今天气很好我们去北京吧。"
SIZES = {
    "Qwen2": {"num_key_value_heads": 1, "intermediate_size": 32},
    "Llama": {"intermediate_size": 32},
    "Mistral": {"num_key_value_heads": 1, "intermediate_size": 32, "sliding_window": 16},
    "Mamba": {"state_size": 4},
}
"""What makes small ones of kinds of models."""
needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="the extra `rescore` is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Qwen2 of a few thousand random numbers, which knows a dozen characters, one a token."""
    return written(tmp_path_factory.mktemp("qwen"), "Qwen2")


def written(folder, kind):
    transformers = large_lm._transformers(folder)
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    vocabulary = {token: i for i, token in enumerate(("<pad>", "<unk>", "<s>", *CHARACTERS))}
    tokens = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    special = {"eos_token": "<s>"} if kind == "GPT2" else {"bos_token": "<s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, **special).save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32}
    config = transformers.AutoConfig.for_model(kind.lower(), vocab_size=len(vocabulary), **sizes | SIZES.get(kind, {}))
    model = transformers.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def exact(monkeypatch):
    """float32 on any machine."""
    monkeypatch.setattr(large_lm, "fast_in_bfloat16", lambda: False)


@needs_transformers
@pytest.mark.parametrize(
    ("kind", "in_trees"),
    [
        ("Qwen2", True),
        ("Llama", True),
        ("GPT2", True),
        ("Mistral", True),  # its window is narrower than the longest text
        ("Bloom", False),  # counts positions in its mask (ALiBi)
        ("Mamba", False),  # hands a state on from token to token
    ],
)
def test_scores_are_what_transformers_makes_of_each_text_alone(kind, in_trees, tmp_path, exact):
    lm = load_large_lm(written(tmp_path, kind))
    assert lm.in_trees is in_trees
    long = "今天气很好我们去北京吧" * 2
    texts = [
        "今天天气很好",
        "我",
        "",
        "我们去北京吧。",
        "今天天气",
        "好好好",
        "今天天气很好",
        "今天天气很好我们去北京吧",
    ]
    texts += [long + "今", long + "天气"]
    found = lm.nats(texts)
    for text, nats in zip(texts, found, strict=True):
        tokens = lm.tokenizer("<s>" + text.rstrip("。") + "。", return_tensors="pt").input_ids
        loss = lm.model(input_ids=tokens, labels=tokens).loss.detach()
        assert nats == pytest.approx(-float(loss) * (tokens.shape[1] - 1), abs=1e-4)
    assert lm.nats(texts[::-1])[::-1] == pytest.approx(found, abs=1e-4)
    lm.budget = lm.widest = 1  # each in a batch of its own
    assert lm.nats(texts) == pytest.approx(found, abs=1e-4)


@needs_transformers
def test_what_texts_begin_with_alike_is_computed_once(folder):
    lm = load_large_lm(folder)
    seen = []
    lm.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"].tolist()), with_kwargs=True
    )
    lm.nats(["今天", "今天气", "今天气很好", "北"])
    said = [lm.tokenizer.decode(row).replace(" ", "") for (row,) in seen]
    assert said == ["<s>今天气很好北"]  # and no 。, behind which nothing is asked


@needs_transformers
def test_a_text_longer_than_the_model_can_see_is_scored_in_parts(folder, exact):
    lm = load_large_lm(folder)
    half, rest = "今天气很好我们" * 4 + "去北京", "吧今天。"
    assert len(half) == lm.most - len(lm.start)
    # the end mark stands behind the last part only
    behind = lm.nats([half + rest])[0] - lm.nats([rest])[0]
    assert behind == pytest.approx(lm.nats([half + "。"])[0] - lm.nats(["。"])[0], abs=1e-4)


@needs_transformers
def test_what_is_given_up_scores_nothing_more(folder):
    with pytest.raises(Cancelled):
        load_large_lm(folder).nats(["今天"], lambda: True)


def test_the_ranking_by_hand():
    """Costs are (10 + 8 + 2) / (3 + 4 + 2) a unit, the end included; each text is compared with what its units cost."""
    config = DecodeConfig(beam=3, nbest=3, length_power=0.0, large_lm_weight=0.5)
    found = [
        Hypothesis((5, 6), -3.0, (-1.0, -1.0, -1.0), {"decoder": -3.0}),
        Hypothesis((5, 6, 7), -3.2, (-1.0, -1.0, -1.0, -0.2), {"decoder": -3.2}),
        Hypothesis((5,), -1.0, (-1.0,), {"decoder": -1.0}, complete=False),
    ]
    nats = {"甲乙": -10.0, "甲乙OK": -8.0, "甲": -2.0}
    words = {5: "甲", 6: "乙", 7: "OK"}

    def text_of(tokens):
        return "".join(words[i] for i in tokens)

    asked = []
    (ranked,) = prefer_likely_texts([found], text_of, lambda t: asked.append(t) or [nats[x] for x in t], config)
    assert asked == [sorted(nats)]  # each text once
    assert [text_of(h.tokens) for h in ranked] == ["甲乙OK", "甲乙", "甲"]  # without eos: last
    scores = [-3.2 + 0.5 * (-8 + 4 * 20 / 9), -3 + 0.5 * (-10 + 3 * 20 / 9), -1 + 0.5 * (-2 + 2 * 20 / 9)]
    assert [h.score for h in ranked] == pytest.approx(scores)
    assert [h.scores for h in ranked] == [{"decoder": d, LARGE_LM: n} for d, n in ((-3.2, -8), (-3, -10), (-1, -2))]


def test_of_texts_that_cost_the_same_a_character_the_first_stays():
    config = DecodeConfig(beam=2, nbest=2, length_power=1.0)
    first, second = (Hypothesis((1,) * n, -1.0 + n / 100, (0.0,) * (n + 1)) for n in (3, 9))
    (ranked,) = prefer_likely_texts(
        [[second, first]], lambda t: "好" * len(t), lambda t: [-4.0 * len(x) - 4 for x in t], config
    )
    assert [h.score for h in ranked] == pytest.approx([second.score, first.score])


@needs_transformers
def test_the_search_stays_and_its_texts_are_ranked_anew(folder, exact):
    def found(decode, **more):
        transcriber = asr.load(TOY, beam=4, decode={"nbest": 4, "redecode": False} | decode, **more)
        from asr.audio.reading import read_samples

        return transcriber.recognizer.recognize([read_samples(CLIP)])[0]

    plain, ranked = found({}), found({"large_lm_weight": 2.0}, lm=folder)
    assert {r.text for r in plain} == {r.text for r in ranked}
    assert all(r.hypothesis.scores.keys() == plain[0].hypothesis.scores.keys() | {LARGE_LM} for r in ranked)
    assert [r.hypothesis.score for r in ranked] == sorted((r.hypothesis.score for r in ranked), reverse=True)


@needs_transformers
def test_the_n_grams_of_the_model_stay_in_the_search(folder, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(TOY, model)
    from asr.catalogue.exporting import add_lm
    from asr.training.ngram import train_ngram

    train_ngram([list("衣鹅鹅")], tmp_path / "lm.arpa", 2, 0)
    add_lm(model, tmp_path / "lm.arpa")
    opened = open_decoding(Decoding(model, lm=folder))
    assert opened.lm is not None and opened.large_lm is not None
    settings = _settings(Decoding(model, lm=folder), opened, TOY, False)
    assert (settings["lm"], settings["large_lm"]) == (str(opened.lm.path), str(folder))
    assert str(folder / "model.safetensors") in [path for path, *_ in _started_with(settings, model, [])["files"]]
    with_both, own = made_with(Decoding(model, lm=folder), {}), made_with(Decoding(model), {})
    assert with_both["lm"] == own["lm"] != "none" and with_both["large_lm"] != own["large_lm"] == "none"


@needs_transformers
def test_everything_loaded_once_is_shared_but_by_live_text(folder):
    transcriber = asr.load(TOY, lm=folder, beam=2)
    lm = transcriber.recognizer.large_lm
    assert transcriber.changed(beam=3).recognizer.large_lm is lm
    assert transcriber.listening_for(["今天"]).recognizer.large_lm is lm
    live = LiveTranscriber(transcriber)
    assert live.full.large_lm is None and live.quick.large_lm is None


def test_without_transformers_the_message_names_the_extra(tmp_path, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    whole(tmp_path)
    status, out, err = run("transcribe", CLIP, "--model", TOY, "--lm", tmp_path)
    assert (status, out) == (1, "") and "transformers runs: pip install 'mandarin-asr[rescore]'" in err


def whole(folder, **config):
    """A folder in which nothing is missing but what is in the files."""
    (folder / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]} | config))
    (folder / "model.safetensors").touch()
    (folder / "tokenizer.json").touch()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model.safetensors", "lacks its weights, model.safetensors"),
        ("tokenizer.json", "lacks its tokenizer, tokenizer.json: copy all files of the model"),
    ],
)
def test_a_folder_that_is_not_whole(tmp_path, missing, message):
    whole(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(CheckpointError, match=message):
        load_large_lm(tmp_path)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            ["WhisperForConditionalGeneration"],
            "holds WhisperForConditionalGeneration, no language model that says what",
        ),
        (None, "holds no named architecture, no language model"),
        (7, "config.json: is not that of a language model"),
    ],
)
def test_a_model_of_another_kind(tmp_path, named, message):
    whole(tmp_path, architectures=named)
    assert is_large_lm(tmp_path) and not is_large_lm(None) and not is_large_lm("none")
    with pytest.raises(CheckpointError, match=message):
        load_large_lm(tmp_path)


@needs_transformers
def test_weights_that_do_not_fit(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "lm")
    path = tmp_path / "lm/config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"num_hidden_layers": 3, "layer_types": None}))
    with pytest.raises(CheckpointError, match=r"its weights lack model\.layers\.2\..*: copy them again"):
        load_large_lm(tmp_path / "lm")
    path.write_text(json.dumps(config))
    weights = tmp_path / "lm/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="lm: is no model that transformers can load"):
        load_large_lm(tmp_path / "lm")


@needs_transformers
def test_a_network_that_says_nothing_of_a_text_is_named(folder):
    lm = load_large_lm(folder)
    lm.size = 5
    with pytest.raises(
        CheckpointError, match="its tokenizer has a token 14, its network 5 of them: is one another model"
    ):
        lm.nats(["今天气很"])
    lm = load_large_lm(folder)
    next(lm.model.parameters()).data.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="its scores are no numbers: its weights are damaged"):
        lm.nats(["今天"])


@needs_transformers
def test_code_that_lies_in_the_folder_is_not_run(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "lm")
    path, evidence = tmp_path / "lm/config.json", tmp_path / "evidence"
    kinds = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": kinds}))
    (tmp_path / "lm/own.py").write_text(f"open({str(evidence)!r}, 'w')\n")
    assert load_large_lm(tmp_path / "lm").nats(["今天"]) and not evidence.exists()


def test_what_is_no_language_model_is_said(tmp_path, run):
    for name, message in (
        ("a.gguf", "GGUF is not read; recipes/embedded/README.md shows"),
        ("x", "lacks config.json: it is"),
    ):
        given = tmp_path / name
        given.mkdir() if name == "x" else given.write_bytes(b"GGUF")
        status, out, err = run("transcribe", CLIP, "--model", TOY, "--lm", given)
        assert (status, out) == (1, "") and message in err


def test_where_it_cannot_help_it_is_refused_by_name(tmp_path, run):
    whole(tmp_path)
    for command in (("live", "-", "--model", TOY, "--lm", tmp_path), ("live", "--lm", tmp_path)):
        status, _, err = run(*command)
        assert status == 2 and "ranks whole texts, too late for live text" in err
    for command in (("tune", TOY, "dev.jsonl", "--lm", tmp_path), ("model", "add-lm", TOY, tmp_path)):
        status, _, err = run(*command)
        assert status == 1 and "is a large language model, which stays where it is" in err
    with pytest.raises(UsageError, match="with --backend onnx files of n-grams only"):
        Exported(TOY, lm=tmp_path)


@needs_transformers
def test_what_changes_nothing_is_said(folder):
    with pytest.warns(UserWarning, match="changes nothing, large_lm_weight is 0; --decode large_lm_weight=0.5 gives"):
        asr.load(TOY, lm=folder, decode={"large_lm_weight": 0.0})
    with pytest.warns(UserWarning, match="changes nothing, a beam of 1 leaves a single text"):
        asr.load(TOY, lm=folder, beam=1)
    with pytest.warns(UserWarning, match="large_lm_weight=0.2: changes nothing, there is no large language model"):
        asr.load(TOY, decode={"large_lm_weight": 0.2})
    with pytest.raises(AsrError, match="decode.large_lm_weight must be 0 or more"):
        DecodeConfig(large_lm_weight=-1)
