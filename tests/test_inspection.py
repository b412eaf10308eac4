"""A clip that is looked at: the numbers are those of the model and the search, by every kind of model."""

import base64
import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

import asr
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.ngram import NgramScorer
from asr.decoding.wordlists import read_hotwords
from asr.errors import AudioError, Cancelled, UsageError
from asr.inspection.inspecting import ClipTooLong, inspect
from asr.inspection.network import cross_attention, insides
from asr.inspection.packing import attention, frames, picture
from asr.inspection.page import inspection_data
from asr.inspection.watching import Searches
from asr.interop.importing import import_model
from asr.model.layers import Attention
from asr.recognition.encoding import encode
from asr.recognition.recognizer import Recognizer
from tests.conftest import random_model
from tests.sounds import noise, silence, speech
from tests.test_interop import FOLDERS, TOOLKITS

MOST = "30 s are the most that can be inspected; --start and --end choose them"
SETTINGS = DecodeConfig(beam=3, nbest=3, max_chars_per_second=8.0, redecode=False)


def watched(recognizer, *utterances):
    searches = Searches(recognizer.tokenizer.table.eos)
    found = recognizer.recognize(utterances, timed=True, watcher=searches)
    return searches, found


@pytest.fixture
def recognizer(tokenizer, tmp_path):
    """With everything that can judge: a CTC head, a language model and hot words."""
    characters = tokenizer.table.tokens[4:8]
    grams = "".join(f"-0.5\t{c}\t-0.1\n" for c in ("<s>", "</s>", *characters))
    pair = f"-0.2\t{characters[0]} {characters[1]}\n"
    text = f"\\data\\\nngram 1={len(characters) + 2}\nngram 2=1\n\n\\1-grams:\n{grams}\n\\2-grams:\n{pair}\n\\end\\\n"
    (tmp_path / "lm.arpa").write_text(text, encoding="utf-8")
    lm = NgramScorer(tmp_path / "lm.arpa", tokenizer.table.tokens, tokenizer.table.eos)
    words = read_hotwords(["".join(characters[1:3])], tokenizer, tokenizer.table, 2.0)
    return Recognizer(random_model(), tokenizer, SETTINGS, lm, hotwords=words)


def test_nothing_is_changed_by_looking_on(recognizer):
    sounds = noise(0.8, seed=1), noise(1.3, seed=2), noise(0.5, seed=3)
    _, found = watched(recognizer, *sounds)
    assert found == recognizer.recognize(sounds, timed=True)


def test_probabilities_are_the_decoder_s_and_all_that_is_added_makes_the_score(recognizer):
    sound, model, table = noise(1.0, seed=4), recognizer.model, recognizer.tokenizer.table
    searches, [[best, *_]] = watched(recognizer, sound)
    [searched] = searches.of(sound)
    tree, memory = searched.tree, encode(model, [sound])
    assert list(tree.weights) == ["decoder", "ctc", "lm", "hotwords"]
    assert searched.result is best and searched.found[0] == best.hypothesis
    with torch.inference_mode():
        for node in list(tree.nodes.values())[:20]:
            if not node.candidates:
                continue
            logits = model.decode_teacher_forced(memory, torch.tensor([[table.sos, *node.path]]))
            log_probs = logits[0, -1].log_softmax(-1)
            written = [i for i in log_probs.argsort(descending=True).tolist() if i not in table.never_written]
            assert [c.token for c in node.candidates][:1] == written[:1]
            assert {c.token for c in node.candidates} >= set(written[:5])
            for c in node.candidates:
                assert c.log_prob == pytest.approx(float(log_probs[c.token]), abs=1e-4)
                if c.total is not None:
                    added = sum(w * part for w, part in zip(tree.weights.values(), c.parts, strict=True))
                    assert c.total == pytest.approx(node.total + added, abs=1e-4)
    h = best.hypothesis
    total = sum(weight * h.scores[name] for name, weight in tree.weights.items())
    assert h.score == pytest.approx(total / (len(h.tokens) + h.complete), abs=1e-5)
    way = tree.way(h.tokens)[1:]
    added = [sum(w * part for w, part in zip(tree.weights.values(), node.parts, strict=True)) for node in way]
    assert way[-1].total == pytest.approx(sum(added), abs=1e-4)


@pytest.mark.parametrize("kind", ["transformer", "conformer", "e_branchformer"])
def test_attention_adds_up_to_one_and_is_that_of_the_search(kind, tokenizer, monkeypatch):
    """Teacher-forced over what was found, it is what the search listened to, a token at a time, with three texts in the beam."""
    recognizer = Recognizer(random_model(kind), tokenizer, SETTINGS)
    sound, steps, beams = noise(1.5, seed=5), [], []
    forward = Attention.forward

    def listening(self, x, keys_values, mask):
        if any(self is layer.cross_attention for layer in recognizer.model.decoder.layers):
            steps.append(self.weights(x, keys_values[0], mask)[0])  # (H, N, L)
        return forward(self, x, keys_values, mask)

    searches = Searches(tokenizer.table.eos)
    begin = searches.search

    def search():
        watch = begin()

        def step(looked):
            beams.append([tuple(row) for row in looked.beam.tokens[0].tolist()])
            watch(looked)

        return Told(watch, step)

    class Told(type(begin())):
        def __init__(self, watch, step):
            super().__init__(watch.eos, watch.likeliest)
            self.trees, self.step = watch.trees, step

        def __call__(self, looked):
            self.step(looked)

    monkeypatch.setattr(searches, "search", search)
    monkeypatch.setattr(Attention, "forward", listening)
    recognizer.recognize([sound], timed=True, watcher=searches)
    monkeypatch.undo()
    [searched] = searches.of(sound)
    found = cross_attention(recognizer.model, tokenizer.table, searched)
    layers, heads, rows, length = found.shape
    tokens = searched.result.hypothesis.tokens
    assert (layers, heads, rows) == (2, 2, len(tokens) + 1) and length == int(searched.memory.lengths[0])
    assert np.allclose(found.sum(-1), 1, atol=1e-5)
    assert len(tokens) > 3
    for u, beam in enumerate(beams[:rows]):
        place = beam.index(tokens[:u])
        for layer in range(layers):
            in_search = steps[u * layers + layer][:, place].numpy()
            assert np.allclose(found[layer, :, u], in_search, atol=1e-5)


def test_what_was_cut_is_shown_in_its_parts(tokenizer):
    model = random_model()
    with torch.no_grad():
        model.decoder.out.bias[tokenizer.table.eos] = -100.0  # it never ends, so that it is searched again in halves
    recognizer = Recognizer(model, tokenizer, replace(SETTINGS, redecode=True))
    short, long = noise(0.9, seed=1), noise(2.4, seed=7)
    searches, [_, [whole]] = watched(recognizer, short, long)
    parts = list(searches.of(long))
    assert len(parts) == 2 and parts[0].first == 0 and parts[1].first == len(parts[0].samples)
    assert sum(len(part.samples) for part in parts) == len(long)
    assert whole.hypothesis.tokens == parts[0].result.hypothesis.tokens + parts[1].result.hypothesis.tokens
    assert all("stopped at the length limit" in part.reasons[0] for part in parts)
    [one] = searches.of(short)
    assert one.first == 0 and not one.reasons


def test_the_network_s_arrays(recognizer):
    sound = noise(1.0, seed=4)
    searches, _ = watched(recognizer, sound)
    [searched] = searches.of(sound)
    found, model = insides(recognizer.model, recognizer.tokenizer.table, searched), recognizer.model
    features, lengths = model.features(torch.from_numpy(sound)[None], torch.tensor([len(sound)]))
    assert np.array_equal(found.mel, features[0].numpy())
    with torch.inference_mode():
        memory = model.encode_features(features, lengths)
    assert np.allclose(found.encoded, memory.encoded[0].numpy(), atol=1e-5)
    assert found.subsampled.shape == found.encoded.shape == (found.spoken, 16)


def unpacked(text: str, kind) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


def test_attention_is_packed_to_a_byte_of_each_row_s_largest():
    weights = np.random.default_rng(0).dirichlet(np.full(40, 0.2), (2, 3, 5)).astype(np.float32)
    data = attention(weights, 30)
    assert [data[name] for name in ("layers", "heads", "rows", "frames", "pooled")] == [2, 3, 5, 30, 1]
    peaks = unpacked(data["peaks"], "<f4").reshape(2, 3, 5, 1)
    again = unpacked(data["data"], np.uint8).reshape(2, 3, 5, 30) / 255 * peaks
    assert np.abs(again - weights[..., :30]).max() <= peaks.max() / 510 + 1e-6
    outside = unpacked(data["outside"], np.uint8).reshape(2, 3, 5) / 255
    assert np.allclose(outside, weights[..., 30:].sum(-1), atol=1 / 255)


def test_of_very_much_attention_frames_are_added_up(monkeypatch):
    monkeypatch.setattr("asr.inspection.packing.MOST_ATTENTION", 300)
    weights = np.random.default_rng(0).dirichlet(np.ones(20), (2, 3, 5)).astype(np.float32)
    data = attention(weights, 20)
    assert data["pooled"] == 2 and data["frames"] == 10
    peaks = unpacked(data["peaks"], "<f4").reshape(2, 3, 5, 1)
    again = unpacked(data["data"], np.uint8).reshape(2, 3, 5, 10) / 255 * peaks
    assert np.allclose(again, weights.reshape(2, 3, 5, 10, 2).sum(-1), atol=1 / 255)


@pytest.mark.parametrize("shape", [(1, 2), (7, 3), (50, 512)])
def test_frames_of_any_size_are_packed(shape):
    values = np.random.default_rng(0).normal(size=shape)
    data = frames(values)
    assert (data["rows"], data["width"]) == shape and data["columns"] <= 64
    assert unpacked(data["data"], np.uint8).size == data["rows"] * data["columns"]
    assert unpacked(data["colours"], np.uint8).size == 3 * shape[0]
    assert picture(np.zeros((0, 4)))["rows"] == 0


@pytest.mark.parametrize("name", FOLDERS)
def test_models_of_every_toolkit(name, tmp_path):
    import_model(TOOLKITS[name.partition("-")[0]], FOLDERS[name], tmp_path / "model")
    model = asr.load(tmp_path / "model", beam=2, decode={"max_chars_per_second": 6.0})
    sound = np.concatenate([silence(0.5), speech(1.2, 3), silence(0.8)])
    found = inspect(model, (sound, 16000))
    assert found.transcript == model.transcribe((sound, 16000)) and found.stretches
    data = inspection_data(found)
    text = "".join(s["text"] for s in data["stretches"])
    for stretch in data["stretches"]:
        nodes = stretch["nodes"]
        assert all(parent < i for i, (parent, *_) in enumerate(nodes))
        written = "".join(nodes[i][7] for i in stretch["way"]).strip()
        assert stretch["text"] in (written, f"{written}\ufffd")  # what the last bytes would begin
        a = stretch["attention"]
        assert a["rows"] >= len(stretch["way"]) - 1 and a["frames"] == stretch["encoded"]["rows"]
        assert {str(i) for i in stretch["way"][:-1]} <= set(map(str, stretch["candidates"]))
        labels = data["labels"]
        assert all(labels[token] for _, token, *_ in nodes[1:])
    assert text or not found.transcript.text


@pytest.fixture(scope="module")
def toy(model):
    return asr.load(model, beam=2, decode={"max_chars_per_second": 6.0, "redecode": False})


def test_a_part_of_a_recording(toy):
    """Times are those of the recording, whichever part of it is looked at."""
    sound = np.concatenate([silence(40), speech(1.5, 2), silence(3)])
    found = inspect(toy, (sound, 16000), 39.0, 43.0)
    assert len(found.samples) == 4 * 16000 and found.offset == 39.0
    [segment] = found.transcript.segments
    assert 39.5 < segment.start < 40.2 and 41.4 < segment.end < 42.6
    assert all(segment.start <= token.start <= token.end <= segment.end for token in segment.tokens)
    assert 0.5 < found.stretches[0].start < 1.2
    assert len(found.speech) == 125 and found.speech[:25].max() < 0.5 < found.speech[40:60].min()
    assert inspect(toy, (sound, 16000), 41.0).samples.shape == (round(3.5 * 16000),)


@pytest.mark.parametrize(
    "seconds, part, kind, message",
    [
        (
            31.0,
            (),
            ClipTooLong,
            "array: is longer than 30 s; 30 s are the most that can be inspected; --start and --end choose them",
        ),
        (40.0, (5.0,), ClipTooLong, "array: is longer than 30 s"),
        (40.0, (2.0, 33.5), ClipTooLong, f"array: from 2 to 33.5 s are 31.5 s; {MOST}"),
        (2.0, (5.0,), AudioError, "array: ends at 2.0 s, before the start at 5 s"),
        (2.0, (1.5, 1.0), UsageError, "start must be 0 or more and end behind it, they are 1.5 and 1.0 s"),
        (2.0, (-1.0,), UsageError, "start must be 0 or more"),
        (2.0, (math.nan,), UsageError, "start must be 0 or more"),
    ],
)
def test_what_cannot_be_looked_at(toy, seconds, part, kind, message):
    with pytest.raises(kind) as error:
        inspect(toy, (silence(seconds), 16000), *part)
    assert str(error.value).startswith(message)


def test_thirty_seconds_are_no_more_for_what_a_coder_adds(toy):
    assert inspect(toy, (silence(30.2), 16000)).stretches == ()


def test_nobody_speaks(toy):
    found = inspect(toy, (silence(1.0), 16000))
    assert found.stretches == () and "is silent" in found.transcript.warnings[0]
    assert inspection_data(found)["stretches"] == []


def test_it_is_given_up(toy):
    with pytest.raises(Cancelled):
        inspect(toy, (speech(2.0), 16000), cancelled=lambda: True)


def test_only_the_best_of_a_wide_beam_are_in_the_page(model):
    wide = asr.load(model, beam=40, decode={"max_chars_per_second": 3.0, "redecode": False, "rule": "espnet"})
    data = inspection_data(inspect(wide, (speech(1.5, 2), 16000)))
    [stretch] = data["stretches"]
    assert stretch["hidden"] > 30
    leaves = [stretch["nodes"][node] for node, *_ in stretch["found"]]
    assert len(leaves) > 16 and all(node[2] for node in leaves)  # every finished text, however low it was
