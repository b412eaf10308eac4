"""The no-speech head, its weights set by hand: what it computes, where it is kept, and that where it hears nobody no text is."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import asr
from asr.catalogue.exporting import describe, export, export_onnx
from asr.decoding.decode_config import DecodeConfig
from asr.errors import CheckpointError, ConfigError
from asr.exported.folder import ExportedModel
from asr.exported.recognizer import ExportedRecognizer
from asr.inspection.watching import Searches
from asr.interop.importing import import_model
from asr.model.folder import load_model, save_model
from asr.model.inference import ready_to_decode
from asr.model.model import Memory
from asr.model.no_speech import NO_SPEECH, NoSpeechHead
from asr.recognition.guards import IN_PIECES
from asr.recognition.joining import joined
from asr.recognition.no_speech import no_speech_probabilities
from asr.recognition.recognized import NOTHING_SAID, Recognized
from asr.recognition.recognizer import Recognizer
from asr.serving.answers import answer_of
from asr.serving.forms import Wanted
from asr.transcription.live import LiveTranscriber
from tests.conftest import random_model
from tests.exports import SILENT, SPOKEN, WITH_HEAD
from tests.heads import telling
from tests.sounds import noise, speech
from tests.test_interop import FIXTURES

WIDTH = 16
SETTINGS = DecodeConfig(beam=2, nbest=2, max_chars_per_second=6.0)


def says(logit: float, width: int = WIDTH) -> NoSpeechHead:
    """A head that says the same of whatever it hears."""
    head = NoSpeechHead(width)
    with torch.no_grad():
        head.bias.fill_(logit)
    return head


def with_head(model, head):
    model.no_speech = head
    return model


def test_attention_pooling_by_hand():
    head = NoSpeechHead(2)
    with torch.no_grad():
        head.weight[:] = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
        head.bias[0] = 0.5
    three = float(torch.tensor(3.0).log())
    frames = torch.tensor([[[1.0, 0.0], [-1.0, three], [9.0, 9.0]]])
    assert head.judged(frames)[0, :2].tolist() == [[0.0, 2.5], [pytest.approx(three), -1.5]]
    # the second frame weighs three times as much as the first; the third is not of the utterance
    logits = head(frames, torch.tensor([2]))
    assert logits.tolist() == pytest.approx([(1 * 2.5 + 3 * -1.5) / 4])
    assert head(frames, torch.tensor([1])).tolist() == pytest.approx([2.5])


def test_a_head_that_has_learnt_nothing_is_undecided():
    assert NoSpeechHead(4)(torch.randn(3, 5, 4), torch.tensor([1, 3, 5])).sigmoid().tolist() == [0.5] * 3


def test_silence_behind_an_utterance_is_no_sign():
    model = random_model()
    model.log_mel.config = replace(model.log_mel.config, tail_seconds=0.5)
    head = NoSpeechHead(WIDTH)
    with torch.no_grad():
        head.weight[1, 0] = 1.0
    model.no_speech = head
    frame = model.samples_of(1)
    encoded = torch.zeros(1, 20, WIDTH)
    encoded[0, 4:, 0] = 100.0  # behind the four frames of the utterance
    memory = Memory(encoded, torch.tensor([20]), encoded)
    assert no_speech_probabilities(model, memory, [np.zeros(4 * frame, np.float32)]) == [0.5]
    assert no_speech_probabilities(model, memory, [np.zeros(8 * frame, np.float32)])[0] > 0.99


def test_what_nobody_speaks_in_gives_no_text_and_all_else_what_it_gave(tokenizer):
    silent, spoken = noise(1.0, seed=1), speech(1.4, seed=2)
    sounds, model = [silent, spoken, silent[:], spoken[:]], random_model()
    before = Recognizer(model, tokenizer, SETTINGS).recognize(sounds, timed=True)
    assert all(nbest[0].text for nbest in before)
    model.no_speech = telling(model, silent, spoken)
    found = Recognizer(model, tokenizer, SETTINGS).recognize(sounds, timed=True)
    assert found[0] == found[2] == [NOTHING_SAID] and NOTHING_SAID.text == ""
    for now, then in ((found[1], before[1]), (found[3], before[3])):
        assert [r.text for r in now] == [r.text for r in then] and now[0].spans == then[0].spans


def test_what_a_text_begins_with_stays_with_its_utterance(tokenizer):
    sounds, model = [noise(1.0, seed=1), speech(1.4, seed=2)], random_model()
    model.no_speech = telling(model, *sounds)
    begins = [(), (7, 8)]
    found = Recognizer(model, tokenizer, SETTINGS).recognize(sounds, known=begins)
    assert found[0] == [NOTHING_SAID] and found[1][0].hypothesis.tokens[:2] == (7, 8)


@pytest.mark.parametrize("logit, threshold, searched", [
    (1.0, 0.7, False), (1.0, 0.8, True), (50.0, 1.0, True), (-50.0, 0.0, False), (-1.0, 0.5, True)
])  # fmt: skip
def test_the_threshold_is_a_probability_and_1_searches_everything(tokenizer, logit, threshold, searched):
    recognizer = Recognizer(with_head(random_model(), says(logit)), tokenizer, replace_settings(no_speech=threshold))
    [[best, *_]] = recognizer.recognize([speech(1.0)])
    assert bool(best.text) == searched


def replace_settings(**changed) -> DecodeConfig:
    return DecodeConfig(**SETTINGS.given() | changed)


def test_a_threshold_that_is_no_probability_is_refused():
    with pytest.raises(ConfigError, match=r"decode.no_speech must be from 0 to 1, is 1.5"):
        DecodeConfig(no_speech=1.5)


def test_who_looks_on_sees_the_search_that_counts_for_nothing(tokenizer):
    recognizer = Recognizer(with_head(random_model(), says(9.0)), tokenizer, SETTINGS)
    searches, sound = Searches(tokenizer.table.eos), speech(1.0)
    assert recognizer.recognize([sound], watcher=searches) == [[NOTHING_SAID]]
    [searched] = searches.of(sound)
    assert searched.result == NOTHING_SAID and searched.found


@pytest.fixture
def folder(tmp_path, tokenizer):
    save_model(tmp_path / "model", with_head(random_model(), says(0.25)), tokenizer.table)
    return tmp_path / "model"


def test_a_head_lies_in_a_file_of_its_own_of_which_the_weights_know_nothing(folder, tmp_path, tokenizer):
    save_model(tmp_path / "without", random_model(), tokenizer.table)
    for name in ("config.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    head = load_model(folder).model.no_speech
    assert head.bias.tolist() == [0.25] and head.weight.shape == (2, WIDTH)
    assert load_model(tmp_path / "without").model.no_speech is None
    assert any(line.startswith("no speech") for line in describe(load_model(folder)))


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_an_export_in_fewer_bits_takes_the_head_along_as_it_is(folder, tmp_path, dtype):
    export(folder, tmp_path / "small", dtype=dtype)
    assert load_model(tmp_path / "small").model.no_speech.bias.tolist() == [0.25]


def test_a_head_of_other_weights_is_refused_and_goes_where_others_take_their_place(folder, tmp_path, tokenizer):
    save_model(tmp_path / "other", random_model(seed=1), tokenizer.table)
    (tmp_path / "other" / NO_SPEECH).write_bytes((folder / NO_SPEECH).read_bytes())
    with pytest.raises(
        CheckpointError, match="other/no_speech.safetensors: was learnt on other weights than those beside it"
    ):
        load_model(tmp_path / "other")
    save_model(folder, random_model(seed=1), tokenizer.table)
    assert not (folder / NO_SPEECH).exists() and load_model(folder).model.no_speech is None


@pytest.mark.parametrize("spoil, message", [
    (lambda data: data[: len(data) // 2], "damaged or not safetensors"),
    (lambda data: b"", "damaged or not safetensors"),
])  # fmt: skip
def test_a_damaged_head_is_told(folder, spoil, message):
    path = folder / NO_SPEECH
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CheckpointError, match=f"no_speech.safetensors: {message}.*delete it to do without"):
        load_model(folder)


def test_a_head_of_another_width_is_told(folder, tokenizer):
    model = with_head(random_model(), says(0.0, 8))
    save_model(folder, model, tokenizer.table)
    with pytest.raises(CheckpointError, match="its width is 8, the encoder's width is 16"):
        load_model(folder)


@pytest.mark.parametrize("quantize", ["none", "int8", "bfloat16"])
def test_fewer_bits_leave_the_head_in_float32(quantize):
    sound = speech(1.0)
    model = with_head(random_model(), None)
    head = telling(model, noise(1.0), sound)
    ready = ready_to_decode(with_head(model, head), quantize)
    assert ready.no_speech.weight.dtype == torch.float32
    for samples, silent in ((noise(1.0), True), (sound, False)):
        memory = ready.encode(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        assert (no_speech_probabilities(ready, memory, [samples])[0] > 0.5) == silent


def test_a_setting_of_a_head_that_is_not_there_changes_nothing_and_is_told(folder, tmp_path, tokenizer):
    save_model(tmp_path / "without", random_model(), tokenizer.table)
    with pytest.warns(UserWarning, match="no_speech=0.5: changes nothing, the model has no no-speech head"):
        asr.load(tmp_path / "without", "cpu", decode={"no_speech": 0.5})
    asr.load(folder, "cpu", decode={"no_speech": 0.5})


def test_live_text_is_not_written_where_nobody_speaks(tmp_path, tokenizer):
    save_model(tmp_path / "model", with_head(random_model(), says(9.0)), tokenizer.table)
    transcriber = asr.load(tmp_path / "model", "cpu", beam=2)
    texts = {}
    for threshold in (0.8, 1.0):
        live = LiveTranscriber(transcriber.changed(decode={"no_speech": threshold}))
        samples = np.concatenate([speech(2.0), np.zeros(16000, np.float32)])
        heard = [h for first in range(0, len(samples), 800) for h in live.hear(samples[first : first + 800])]
        texts[threshold] = "".join(h.text for h in [*heard, *live.finish()])
    assert texts[0.8] == "" and texts[1.0]


@torch.no_grad()
def test_exported_graphs_hear_the_same_without_pytorch(exported_model):
    pytest.importorskip("onnxruntime", reason="pip install 'mandarin-asr[export]'")
    folder, sounds = exported_model(WITH_HEAD), [SILENT, SPOKEN]
    model, graphs = load_model(folder / "model").model, ExportedModel(folder / "onnx", 1)
    for samples in sounds:
        memory = model.encode(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        expected = float(model.no_speech(memory.encoded, memory.lengths).sigmoid())
        assert graphs.no_speech(graphs.hear(samples), len(samples)) == pytest.approx(expected, abs=1e-3)
    texts = [nbest[0].text for nbest in ExportedRecognizer(graphs, SETTINGS).recognize(sounds)]
    assert texts[0] == "" and texts[1]


@torch.no_grad()
def test_the_graph_of_a_whisper_model_in_int8_has_the_head_and_sherpa_onnx_does_not_mind(tmp_path):
    pytest.importorskip("onnxruntime", reason="pip install 'mandarin-asr[export]'")
    sherpa = pytest.importorskip("sherpa_onnx")
    import_model("whisper", FIXTURES / "whisper-tiny-hf", tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    silent, spoken = noise(1.0, seed=1), speech(1.4, seed=2)
    save_model(
        tmp_path / "model", with_head(loaded.model, telling(loaded.model, silent, spoken)), loaded.tokenizer.table
    )
    exported = export_onnx(tmp_path / "model", tmp_path / "onnx", "int8")
    assert any("no-speech head" in line for line in exported.left_behind)
    graphs = ExportedModel(tmp_path / "onnx", 1)
    for samples in (silent, spoken):
        memory = loaded.model.encode(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        [expected] = no_speech_probabilities(loaded.model, memory, [samples])
        assert (expected > 0.5) == (graphs.no_speech(graphs.hear(samples), len(samples)) > 0.5)
    names = {part: str(tmp_path / "onnx" / f"model-{part}.int8.onnx") for part in ("encoder", "decoder")}
    recognizer = sherpa.OfflineRecognizer.from_whisper(**names, tokens=str(tmp_path / "onnx/model-tokens.txt"))
    stream = recognizer.create_stream()
    stream.accept_waveform(16000, spoken)
    recognizer.decode_stream(stream)
    assert isinstance(stream.result.text, str)


def test_how_likely_it_is_that_nobody_speaks_is_told_of_each_segment(tmp_path, tokenizer):
    """Of what was decoded again in pieces the least of theirs; None of a model without a head, which over HTTP is 0."""
    model = with_head(random_model(), says(-1.0))
    p = 1 / (1 + np.exp(1.0))
    recognizer = Recognizer(model, tokenizer, DecodeConfig(beam=2))
    short, long = recognizer.recognize([speech(0.5), speech(6.0)])
    assert any(warning.startswith(IN_PIECES) for warning in long[0].hypothesis.warnings)
    assert short[0].no_speech == pytest.approx(p) and long[0].no_speech == pytest.approx(p)
    [[nothing]] = Recognizer(with_head(model, says(2.0)), tokenizer).recognize([speech(0.5)])
    assert nothing.no_speech == pytest.approx(1 / (1 + np.exp(-2.0)))

    for logit, told in ((-1.0, float(f"{p:.3g}")), (None, None)):
        save_model(
            tmp_path / "model", with_head(random_model(), None if logit is None else says(logit)), tokenizer.table
        )
        transcript = asr.load(tmp_path / "model", "cpu", vad={"threshold": 0}).transcribe((speech(2.0), 16000))
        assert transcript.segments and {segment.no_speech for segment in transcript.segments} == {told}
        assert json.loads(asr.render(transcript, "json"))["segments"][0]["no_speech"] == told
        answer = answer_of(transcript, Wanted(None, "verbose_json"), list)
        assert {segment["no_speech_prob"] for segment in answer["segments"]} == {told or 0.0}


def test_parts_of_an_utterance_in_one_of_which_somebody_speaks():
    sounds = [np.zeros(16000, np.float32)] * 2
    both = [[replace(NOTHING_SAID, no_speech=p)] for p in (0.9, 0.2)]
    [found] = joined(sounds, both, lambda hypothesis: Recognized("", hypothesis))
    assert found.no_speech == 0.2
    [found] = joined(sounds, [[NOTHING_SAID], [NOTHING_SAID]], lambda hypothesis: Recognized("", hypothesis))
    assert found.no_speech is None
