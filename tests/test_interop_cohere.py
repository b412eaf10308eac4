"""Cohere Transcribe: both forms of its folder, its tokens, and that an imported model does all that others do."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from asr.catalogue.exporting import describe
from asr.corpus.toy import prepare_toy
from asr.decoding.decode_config import DecodeConfig
from asr.errors import CheckpointError
from asr.exporting.sherpa import forms_of
from asr.features.fbank import mel_matrix
from asr.interop.cohere_settings import FEATURES
from asr.interop.importing import import_model
from asr.model.folder import load_model
from asr.model.inference import packs_bfloat16, ready_to_decode
from asr.recognition.recognizer import Recognizer
from asr.text.tokenizers import PIECES
from asr.training.initial import from_model
from asr.training.loop import train
from tests.foreign_folders import assert_same, read_foreign
from tests.runs import Lines, small_run
from tests.test_interop import VARIANTS
from tests.test_interop_refusals import refused

TINY, CLASS_NAMES = VARIANTS / "cohere-transcribe", VARIANTS / "cohere-class-names"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return import_model("cohere", TINY, tmp_path_factory.mktemp("models") / "tiny").folder


def read(folder: Path):
    return read_foreign("cohere", folder)


def edit(path: Path, section: str = "", **values) -> None:
    """Other values in a JSON file; None takes one out."""
    data = json.loads(path.read_text(encoding="utf-8"))
    part = data[section] if section else data
    part.update(values)
    for name in [name for name, value in values.items() if value is None]:
        del part[name]
    path.write_text(json.dumps(data), encoding="utf-8")


def same(foreign, source: Path = TINY) -> None:
    assert_same(foreign, read(source))


def test_the_prompt_asks_for_mandarin_with_punctuation_and_nothing_else():
    foreign, vocabulary = read(TINY), json.loads((TINY / "tokenizer.json").read_text())["model"]["vocab"]
    prompt = [foreign.table.tokens[i] for i in foreign.config.decoder.prompt]
    assert prompt == ["▁", *(f"<|{name}|>" for name in "startofcontext startoftranscript emo:undefined".split()),
                      "<|zh|>", "<|zh|>", "<|pnc|>", "<|noitn|>", "<|notimestamp|>"]  # fmt: skip
    assert foreign.table.sos == vocabulary["<|nodiarize|>"] and foreign.table.eos == vocabulary["<|endoftext|>"]
    written = set(range(len(foreign.table))) - set(foreign.table.never_written)
    assert written == {i for token, i in vocabulary.items() if token[:2] not in ("<|", "<u", "<p")} | {
        foreign.table.eos
    }
    assert foreign.decode["beam"] == 1 and foreign.decode["never_written"] == []


def nemo_form(folder: Path) -> None:
    """Settings as they were published, in NeMo's words."""
    (folder / "preprocessor_config.json").unlink()
    encoder = {"d_model": 16, "n_layers": 2, "n_heads": 4, "conv_kernel_size": 9, "subsampling_conv_channels": 4}
    encoder |= {"feat_in": 128, "feat_out": -1, "subsampling": "dw_striding", "xscaling": False, "dropout_emb": 0.0}
    encoder |= {"self_attention_model": "rel_pos", "att_context_size": [-1, -1], "conv_norm_type": "batch_norm"}
    encoder |= {"untie_biases": True, "ff_expansion_factor": 3, "pos_emb_max_len": 5000, "conv_context_size": None}
    decoder = {"hidden_size": 24, "inner_size": 48, "num_attention_heads": 3, "num_layers": 2, "hidden_act": "relu"}
    decoder |= {"max_sequence_length": 60, "pre_ln": True, "ffn_dropout": 0.1}
    preprocessor = {"features": 128, "sample_rate": 16000, "window_size": 0.025, "window_stride": 0.01, "pad_to": 0}
    preprocessor |= {"normalize": "per_feature", "window": "hann", "n_fft": 512, "dither": 1e-5}
    data = {"model_type": "cohere_asr", "vocab_size": json.loads((folder / "config.json").read_text())["vocab_size"]}
    data |= {"encoder": encoder, "transf_decoder": {"config_dict": decoder}, "preprocessor": preprocessor}
    data |= {"head": {"hidden_size": 24, "num_classes": 324, "log_softmax": True}, "max_audio_clip_s": 35}
    data |= {"supported_languages": ["en", "zh"], "auto_map": {}, "batch_size": 64}
    (folder / "config.json").write_text(json.dumps(data))


def test_settings_in_nemos_words(copy):
    folder = copy(TINY)
    nemo_form(folder)
    same(read(folder))
    edit(folder / "config.json", "preprocessor", window_size=0.02, preemph=0.5, dither=0.0)
    features = read(folder).features
    assert (features.frame_length, features.signal_preemphasis, features.steady_dither) == (320, 0.5, 0.0)


@pytest.mark.parametrize(("stated", "emphasis"), [("null", 0.0), ("0.5", 0.5), ("0", 0.0), (None, 0.97)])
def test_pre_emphasis_that_is_stated_absent_or_null(stated, emphasis, copy):
    folder = copy(TINY)
    content = f'{{"preemphasis": {stated}}}' if stated else "{}"
    (folder / "preprocessor_config.json").write_text(content)
    assert read(folder).features.signal_preemphasis == emphasis


def test_the_published_files_filters_and_counters_are_left_out(copy):
    """They may lie there in 16 bits; filters other than those of the settings are noticed."""
    folder = copy(TINY)
    filters = mel_matrix(FEATURES).T[None].contiguous()
    tensors = load_file(folder / WEIGHTS) | {"preprocessor.featurizer.window": torch.hann_window(400)}
    save_file(tensors | {"preprocessor.featurizer.fb": filters.bfloat16()}, folder / WEIGHTS)
    foreign = read(folder)
    same(foreign)
    reasons = set(foreign.tensors.ignored.values())
    assert reasons == {"filters and window of the features, which are computed here", "a counter of training"}
    save_file(tensors | {"preprocessor.featurizer.fb": filters.flip(1)}, folder / WEIGHTS)
    refused("cohere", folder, r"preprocessor.featurizer.fb \(1, 128, 257\)|are not the filters that the settings say")


def test_a_sentence_piece_model_beside_the_tokens_or_in_their_place(copy):
    folder = copy(TINY)
    (folder / "tokenizer.model").write_bytes(read(TINY).pieces)
    same(read(folder))
    assert read(folder).pieces == read(TINY).pieces
    (folder / "tokenizer.json").unlink()
    same(read(folder))
    shutil.copy(TINY / "tokenizer.json", folder)
    text = (
        (folder / "tokenizer.json")
        .read_text(encoding="utf-8")
        .replace('"今天"', '"昨天"')
        .replace('"今", "天"', '"昨", "天"')
    )
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    refused("cohere", folder, "tokenizer.model: piece 313 is '今天', tokenizer.json has '昨天' there")


@pytest.mark.parametrize("kind", ["merges as texts", "metaspace", "unigram", "charsmap"])
def test_other_forms_of_the_same_tokens(kind, copy):
    folder = copy(TINY)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    if kind == "merges as texts":
        data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    elif kind == "metaspace":
        data["normalizer"] = None
        data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    elif kind == "unigram":
        vocabulary = sorted(data["model"]["vocab"], key=data["model"]["vocab"].get)
        data["model"] = {"type": "Unigram", "unk_id": 0, "byte_fallback": True,
                         "vocab": [[token, -1.0] for token in vocabulary]}  # fmt: skip
    else:
        charsmap = base64.b64encode(b"").decode()
        data["normalizer"]["normalizers"].insert(0, {"type": "Precompiled", "precompiled_charsmap": charsmap})
    path.write_text(json.dumps(data), encoding="utf-8")
    foreign = read(folder)
    same(foreign)
    model = import_model("cohere", folder, folder.parent / "model").folder
    tokenizer = load_model(model).tokenizer
    expected = [foreign.table.ids[token] for token in ("▁今天", "很好")]
    assert tokenizer.encode("今天很好") == expected and tokenizer.decode(expected) == "今天很好"


def test_texts_become_the_tokens_that_the_toolkit_makes_of_them(folder):
    golden, text = np.load(TINY / "golden.npz")["tokens_in"].tolist(), "今天天气很好 hello"
    loaded = load_model(folder)
    prompt = [*loaded.model.config.decoder.prompt, loaded.tokenizer.table.sos]
    assert golden[: len(prompt)] == prompt and (folder / PIECES).is_file()
    assert loaded.tokenizer.decode(golden[len(prompt) :]) == text
    assert loaded.tokenizer._processor.encode(text) == golden[len(prompt) :]
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("一个鿏字")) == "一个鿏字", (
        "in bytes, where there is no piece"
    )


def test_an_imported_model_says_what_it_is(folder):
    lines = "\n".join(describe(load_model(folder), folder))
    assert "encoder     conformer, 2 layers, width 16, 4 heads, feed-forward 48, one memory frame per 80 ms" in lines
    assert "decoder     2 layers, width 24, 3 heads, feed-forward 48" in lines
    assert "toolkit     cohere" in lines
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Imported from a cohere checkpoint (model.safetensors)" in card
    assert "- is told to write Mandarin with punctuation; its other languages are not asked for" in card


PRECISIONS = [
    "none",
    "int8",
    pytest.param("bfloat16", marks=pytest.mark.skipif(not packs_bfloat16(), reason="this CPU does not multiply so")),
]


@pytest.mark.parametrize("quantize", PRECISIONS)
@pytest.mark.parametrize("beam", [1, 4])
def test_an_imported_model_recognizes_in_any_precision(quantize, beam, folder):
    loaded, golden = load_model(folder), np.load(TINY / "golden.npz")
    config = DecodeConfig(beam=beam, rule="transformers", stop_loops=False, redecode=False)
    recognizer = Recognizer(ready_to_decode(loaded.model, quantize), loaded.tokenizer, config)
    both = recognizer.recognize([golden["waveform"], golden["waveform2"]], timed=True)
    for found, name in zip(both, ("greedy_tokens", "greedy2_tokens"), strict=True):
        tokens = list(found[0].hypothesis.tokens)
        assert len(found[0].spans) == len(tokens) > 0
        if quantize == "none" and beam == 1:
            assert golden[name].tolist()[: len(tokens)] == tokens


@pytest.mark.parametrize("rank", [0, 2])
def test_an_imported_model_trains_on(rank, folder, tmp_path):
    """What is no piece is written in bytes, so that no text brings new tokens; the tokens in front of a text stay."""
    corpus = prepare_toy(tmp_path / "toy", n_train=8, n_dev=1, n_test=1)
    recipe = small_run(corpus, "data.min_count=1", "train.max_steps=2", f"train.lora.rank={rank}")
    before = load_model(folder)
    after = load_model(train(from_model(recipe, folder), tmp_path / "run", display=Lines()))
    assert after.tokenizer.table.tokens == before.tokenizer.table.tokens
    assert type(after.tokenizer) is type(before.tokenizer) and after.model.config == before.model.config
    new, old = (m.model.decoder.layers[0].cross_attention.value.weight for m in (after, before))
    assert not torch.equal(new, old)


def test_no_form_of_sherpa_onnx_fits(folder):
    loaded = load_model(folder)
    with pytest.raises(
        CheckpointError, match="cannot be expressed for sherpa-onnx: its features.signal_preemphasis is 0.97"
    ):
        forms_of(loaded, DecodeConfig())
