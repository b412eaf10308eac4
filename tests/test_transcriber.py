import numpy as np
import pytest
import soundfile

import asr
from asr.audio.reading import SAMPLE_RATE
from asr.decoding.settings import DecodeConfig
from asr.errors import AudioError
from asr.model.folder import save_model
from asr.text.units import units
from asr.transcription.segmenting import cut_at_pauses
from asr.transcription.transcriber import Transcriber, load
from tests.conftest import random_model


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory):
    from asr.corpus.toy import CHARACTERS
    from asr.text.tokenizer import TokenTable

    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, random_model(), TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS]))
    return load(folder, "cpu", DecodeConfig(beam=2))


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(3).normal(0, level, int(seconds * SAMPLE_RATE)).astype(np.float32)


def test_a_file_and_its_array_give_the_same(transcriber, tmp_path):
    samples = noise(2.0)
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    from_file, from_array = transcriber.transcribe(tmp_path / "a.wav"), transcriber.transcribe((samples, SAMPLE_RATE))
    assert from_file.text == from_array.text != ""
    assert from_file.segments == from_array.segments
    assert from_file.audio == str(tmp_path / "a.wav") and from_array.audio == "array"
    assert from_file.model == "tiny" and from_file.duration == 2.0 and from_file.settings["beam"] == 2


def test_segments_cover_a_long_recording_in_order(transcriber, tmp_path):
    soundfile.write(tmp_path / "long.wav", noise(200), SAMPLE_RATE, subtype="PCM_16")
    segments = list(transcriber.iter_segments(tmp_path / "long.wav"))
    assert len(segments) > 13 and segments[0].start == 0 and segments[-1].end == 200
    assert all(a.end == b.start for a, b in zip(segments, segments[1:], strict=False))
    assert all(s.score is not None for s in segments)


def test_segments_come_before_the_recording_has_been_read(transcriber, monkeypatch):
    read = []

    def blocks(audio):
        for i in range(100):
            read.append(i)
            yield noise(10.0)

    monkeypatch.setattr("asr.transcription.transcriber.read_blocks", blocks)
    next(transcriber.iter_segments("endless.wav"))
    assert len(read) < 20


def test_no_text_is_invented_for_nothing(transcriber):
    nothing = transcriber.transcribe((np.zeros(0, np.float32), SAMPLE_RATE))
    assert nothing.text == "" and nothing.warnings == ("holds no audio: 0 seconds",)
    silence = transcriber.transcribe((np.zeros(5 * SAMPLE_RATE, np.float32), SAMPLE_RATE))
    assert silence.text == "" and silence.warnings == ("is silent: no sample, channels averaged, is above -80 dBFS",)
    assert [s.text for s in silence.segments] == [""] and silence.duration == 5.0


def test_silent_stretches_between_speech_are_not_decoded(transcriber):
    samples = np.concatenate([noise(10), np.zeros(30 * SAMPLE_RATE, np.float32), noise(10)])
    texts = [s.text for s in transcriber.transcribe((samples, SAMPLE_RATE)).segments]
    assert texts[0] and texts[-1] and "" in texts


def test_stereo_arrays_of_any_rate(transcriber):
    transcript = transcriber.transcribe((np.stack([noise(1.0)] * 2, axis=1), 8000))
    assert transcript.duration == pytest.approx(2.0, abs=0.01)


def test_samples_that_are_not_numbers(transcriber):
    samples = noise(1.0)
    samples[7] = np.nan
    with pytest.raises(AudioError, match="array: holds samples that are not numbers"):
        transcriber.transcribe((samples, SAMPLE_RATE))


def test_text_joins_segments_as_mandarin_is_written():
    def joined(*texts):
        segments = [
            asr.Segment(
                0, 1, tuple(asr.TranscriptToken(unit.text, 0, 1, 1.0, (0, 0), unit.mark) for unit in units(text))
            )
            for text in texts
        ]
        return asr.Transcript("a", 1.0, tuple(segments), "m").text

    assert joined("今天", "", "天气") == "今天天气"
    assert joined("我用APP", "STORE下载") == "我用APP STORE下载"
    assert joined("你好，用APP 3.5吧。") == "你好，用APP 3.5吧。"
    assert joined("HELLO, WORLD", "OK") == "HELLO, WORLD OK"
    assert joined() == ""


def test_public_names():
    assert asr.__all__ == [
        "load",
        "transcribe",
        "align",
        "write",
        "Transcriber",
        "Transcript",
        "Segment",
        "TranscriptToken",
        "char_errors",
        "CharErrors",
        "score_files",
        "Score",
        "compare_files",
        "Comparison",
        "AsrError",
        "__version__",
    ]
    assert asr.Transcriber is Transcriber and all(getattr(asr, name) is not None for name in asr.__all__)
    with pytest.raises(AttributeError, match="module 'asr' has no attribute 'nothing'"):
        asr.nothing  # noqa: B018


@pytest.mark.parametrize("n", [1, 160, 1600])
def test_no_text_is_invented_for_a_scrap_of_sound(transcriber, n):
    transcript = transcriber.transcribe((noise(1.0)[:n], SAMPLE_RATE))
    assert transcript.text == "" and transcript.warnings == ("is too short to recognise: less than 0.2 s",)


def test_no_scrap_is_cut_off_the_end():
    for seconds in (15.01, 15.3, 29.02, 44.5):
        pieces = list(cut_at_pauses([noise(seconds)]))
        assert all(1 <= piece.end - piece.start <= 15 for piece in pieces)


def test_an_absurd_sample_is_clipped(transcriber, tmp_path):
    samples = noise(2.0)
    samples[100] = 1e20
    soundfile.write(tmp_path / "spike.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    segment = transcriber.transcribe(tmp_path / "spike.wav").segments[0]
    assert np.isfinite(segment.score) and segment.text
    assert transcriber.transcribe((samples, SAMPLE_RATE)).segments[0] == segment


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((2, 16000)), 16000, r"must be \(samples,\) or \(samples, channels\), is \(2, 16000\)"),
        (np.zeros(100, np.uint8), 16000, "must hold floats or signed integers, holds uint8"),
        (np.zeros(100), 0, "the sample rate must be above 0, is 0"),
    ],
)
def test_arrays_that_are_no_audio_are_refused(transcriber, samples, rate, message):
    with pytest.raises(AudioError, match=message):
        transcriber.transcribe((samples, rate))


def test_whole_numbers_are_scaled(transcriber):
    samples = (noise(1.0) * 32768).astype(np.int16)
    floats = transcriber.transcribe((samples / 32768, SAMPLE_RATE))
    assert transcriber.transcribe((samples, SAMPLE_RATE)).segments == floats.segments
