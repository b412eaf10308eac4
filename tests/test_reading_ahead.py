"""Recordings that processes of their own read, while another one decodes."""

import os
import signal
from pathlib import Path

import pytest

from asr.audio.voice_activity import load_voice_activity
from asr.errors import AsrError
from asr.transcription import reading_ahead
from asr.transcription.reading_ahead import ReadingAhead
from asr.transcription.recordings import RecordingInProgress
from asr.transcription.segmenting import SegmentConfig
from tests.sounds import silence, speech, write_wav


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[Path]:
    """Speech of 1 to 30 s, silence, something that is no recording, and nothing."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = [write_wav(folder / f"{s}.wav", speech(s, seed=s, rate=8000), 8000) for s in (1, 30, 4)]
    (folder / "bad.wav").write_bytes(b"RIFF but no audio")
    return [*paths, write_wav(folder / "silent.wav", silence(2)), folder / "bad.wav", folder / "gone.wav"]


def opened(paths: list[Path]) -> list[RecordingInProgress]:
    network = load_voice_activity()
    return [RecordingInProgress(path, network, SegmentConfig(threshold=0, silence=0)) for path in paths]


def told(recording: RecordingInProgress) -> tuple:
    error = recording.error and (type(recording.error), str(recording.error))
    return recording.name, recording.duration, recording.rate, recording.announced, recording.warnings(), error


@pytest.mark.parametrize("ahead", [1, 8])
def test_what_they_find_is_what_is_found_without_them(recordings, ahead):
    expected = [(told(recording), pieces) for recording, pieces in ((r, list(r.pieces())) for r in opened(recordings))]
    with ReadingAhead(2, ahead) as readers:
        found = [(r, list(r.pieces())) for r in readers.recordings(opened(recordings))]
    for (recording, pieces), (known, wanted) in zip(found, expected, strict=True):
        assert told(recording) == known and [(c, p.first) for c, p in pieces] == [(c, p.first) for c, p in wanted]
        assert all((a.samples == b.samples).all() for (_, a), (_, b) in zip(pieces, wanted, strict=True))
    assert sum(len(pieces) for _, pieces in found) >= 5


def test_one_that_dies_is_told_of(recordings, monkeypatch):
    monkeypatch.setattr(reading_ahead, "PIECES_AHEAD", 1)  # so that it cannot be done by then
    with (
        ReadingAhead(1, 1) as readers,
        pytest.raises(AsrError, match=r"30\.wav: the process that read it has died; the same"),
    ):
        for recording in readers.recordings(opened(recordings[1:2] * 9)):
            for _ in recording.pieces():
                os.kill(readers.lanes[0].process.pid, signal.SIGKILL)


def test_transcripts_are_the_same(run, model, recordings):
    texts = ["transcribe", *recordings, "--model", model, "--format", "json", "--decode", "batch_recordings=3"]
    expected, found = run(*texts), run(*texts, "--workers", "2")
    assert found == expected and expected[0] == 1 and len(expected[1].splitlines()) == 6
