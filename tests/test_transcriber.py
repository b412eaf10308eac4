import os

import numpy as np
import pytest
import soundfile

import asr
from asr.audio.reading import NOT_SCALED, SAMPLE_RATE, Recording
from asr.catalogue.opening import open_model
from asr.decoding.decode_config import DecodeConfig
from asr.errors import AudioError
from asr.text.units import units
from asr.transcript import Segment
from asr.transcription.transcriber import load
from tests.sounds import noise, silence, speech


@pytest.fixture(scope="module")
def transcriber(model):
    return load(model, "cpu", decode=DecodeConfig(beam=2))


@pytest.fixture
def brief(transcriber):
    """The same model where it may write little of what it hears: what is asked is which stretches it hears."""
    return transcriber.changed(decode={"max_chars_per_second": 0.5, "redecode": False})


def test_a_file_and_its_array_give_the_same(transcriber, tmp_path):
    samples = speech(2.0)
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    from_file, from_array = transcriber.transcribe(tmp_path / "a.wav"), transcriber.transcribe((samples, SAMPLE_RATE))
    assert from_file.text == from_array.text != ""
    assert from_file.segments == from_array.segments
    assert from_file.audio == str(tmp_path / "a.wav") and from_array.audio == "array"
    assert from_file.model == "tiny" and from_file.duration == 2.0 and from_file.settings["beam"] == 2


def test_segments_of_a_long_recording_come_in_order_and_hold_all_speech(brief, tmp_path):
    parts = [part for i in range(6) for part in (speech(14, seed=i), silence(1))]
    soundfile.write(tmp_path / "long.wav", np.concatenate(parts), SAMPLE_RATE, subtype="PCM_16")
    segments = list(brief.iter_segments(tmp_path / "long.wav"))
    assert len(segments) >= 12 and segments == list(brief.transcribe(tmp_path / "long.wav").segments)
    assert all(a.end <= b.start for a, b in zip(segments, segments[1:], strict=False))
    assert 6 * 14 < sum(s.end - s.start for s in segments) < 6 * 15 + 1
    assert all(s.score is not None for s in segments)


def test_segments_come_before_the_recording_has_been_read(brief, monkeypatch):
    read = []

    class Endless(Recording):
        def blocks(self, **_):
            for i in range(100):
                read.append(i)
                yield speech(10.0, seed=i % 4)[:, None]

    monkeypatch.setattr("asr.transcription.recordings.Recording", Endless)
    next(brief.iter_segments("data/sample/beijing.flac"))
    assert len(read) < 20


def test_no_text_is_invented_for_nothing(transcriber):
    nothing = transcriber.transcribe((np.zeros(0, np.float32), SAMPLE_RATE))
    assert nothing.text == "" and nothing.warnings == ("holds no audio: 0 seconds",)
    quiet = transcriber.transcribe((silence(5), SAMPLE_RATE))
    assert quiet.text == "" and quiet.warnings == ("is silent: no sample, channels averaged, is above -80 dBFS",)
    assert quiet.segments == () and quiet.duration == 5.0
    loud = transcriber.transcribe((noise(5), SAMPLE_RATE))
    assert (loud.text, loud.segments, loud.warnings) == ("", (), ("no speech was found in it",))


def test_stretches_without_speech_are_not_decoded(transcriber):
    samples = np.concatenate([speech(5), noise(30, level=0.001), speech(5, seed=1)])
    segments = transcriber.transcribe((samples, SAMPLE_RATE)).segments
    assert [s.start for s in segments] == pytest.approx([0, 34.7], abs=1)
    assert all(s.text for s in segments)


def test_recordings_decoded_together_are_as_if_each_were_alone(transcriber):
    recordings = [(np.concatenate([speech(2 + i / 2, seed=i), silence(1)]), SAMPLE_RATE) for i in range(11)]
    together = [transcript for _, transcript in transcriber.transcribe_all(recordings)]
    for transcript, audio in zip(together, recordings, strict=True):
        alone = transcriber.transcribe(audio)
        assert transcript.text == alone.text and transcript.duration == alone.duration
        assert [(s.start, s.end) for s in transcript.segments] == [(s.start, s.end) for s in alone.segments]


def test_a_bad_recording_does_not_spoil_those_decoded_with_it(transcriber):
    audios = [(speech(2), SAMPLE_RATE), "missing.wav", (speech(3, seed=1), SAMPLE_RATE)]
    first, bad, last = (transcript for _, transcript in transcriber.transcribe_all(audios))
    assert first.text and last.text and isinstance(bad, AudioError)


def test_each_channel_for_itself(transcriber):
    left = np.concatenate([speech(3), silence(4)])
    right = np.concatenate([silence(4), speech(3, seed=1)])
    stereo = np.stack([left, right], axis=1)
    transcript = transcriber.transcribe((stereo, SAMPLE_RATE), split=True)
    assert [s.channel for s in transcript.segments] == [0, 1]
    for segment, channel in zip(transcript.segments, (left, right), strict=True):
        alone = transcriber.transcribe((channel, SAMPLE_RATE)).segments[0]
        assert (segment.text, segment.start) == (alone.text, alone.start)
    assert {s.channel for s in transcriber.transcribe((stereo, SAMPLE_RATE)).segments} == {None}


def test_a_recording_that_is_cut_off_is_read_as_far_as_it_goes(transcriber, tmp_path):
    soundfile.write(tmp_path / "whole.wav", speech(6), SAMPLE_RATE, subtype="PCM_16")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:96044])
    transcript = transcriber.transcribe(tmp_path / "cut.wav")
    assert transcript.duration == 3 and transcript.text
    assert transcript.warnings == ("is cut off: it ends in the middle of its data after 3.0 s",)


def test_stereo_arrays_of_any_rate(transcriber):
    transcript = transcriber.transcribe((np.stack([speech(1.0)] * 2, axis=1), 8000))
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


@pytest.mark.parametrize("n", [1, 160, 1600])
def test_no_text_is_invented_for_a_scrap_of_sound(transcriber, n):
    transcript = transcriber.transcribe((noise(1.0)[:n], SAMPLE_RATE))
    assert transcript.text == "" and transcript.warnings == ("is too short to recognise: less than 0.2 s",)


def test_an_absurd_sample_is_clipped(transcriber, tmp_path):
    samples = speech(2.0).copy()
    samples[100] = 1e20
    soundfile.write(tmp_path / "spike.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    segment = transcriber.transcribe(tmp_path / "spike.wav").segments[0]
    assert np.isfinite(segment.score) and segment.text
    assert transcriber.transcribe((samples, SAMPLE_RATE)).segments[0] == segment


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((2, 16000)), 16000, r"must be \(samples,\) or \(samples, channels\), is \(2, 16000\)"),
        (np.zeros(100, np.uint8), 16000, "must hold floats, or integers of 8, 16 or 32 bits with a sign, holds uint8"),
        (np.zeros(100, np.int64), 16000, "must hold floats, or integers of 8, 16 or 32 bits with a sign, holds int64"),
        (np.full(100, 3000.0), 16000, "its samples are far above 1, which is full scale: divide them by 32768"),
        (np.zeros(100), 0, "the sample rate must be from 1,000 to 1,000,000, is 0"),
    ],
)
def test_arrays_that_are_no_audio_are_refused(transcriber, samples, rate, message):
    with pytest.raises(AudioError, match=message):
        transcriber.transcribe((samples, rate))


def test_files_of_floats_in_the_range_of_whole_numbers_are_told(transcriber, tmp_path):
    soundfile.write(tmp_path / "loud.wav", speech(1.0) * 32768, SAMPLE_RATE, subtype="FLOAT")
    assert transcriber.transcribe(tmp_path / "loud.wav").warnings[0] == NOT_SCALED


def test_speech_of_which_nothing_is_written_is_told(transcriber):
    recording = transcriber.open((speech(2.0), SAMPLE_RATE))
    list(recording.pieces())
    recording.segments.append(Segment(0.0, 2.0, (), ""))
    last = "what sounds like speech was found in it, but the model wrote nothing"
    assert transcriber.transcript(recording).warnings[-1] == last


def test_whole_numbers_are_scaled(transcriber):
    samples = (speech(1.0) * 32768).astype(np.int16)
    floats = transcriber.transcribe((samples / 32768, SAMPLE_RATE))
    assert transcriber.transcribe((samples, SAMPLE_RATE)).segments == floats.segments


def test_few_compiled_kernels_are_kept_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    open_model()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    open_model()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"
