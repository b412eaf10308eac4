"""A live client never waits behind somebody's long recording. No verdict hangs on a clock: what counts is how much is done

between two moments at which live work is looked for, and that it is done there.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from asr.model.decoder import Decoder
from asr.model.model import SpeechModel
from asr.recognition.encoding import CPU_GROUP
from asr.serving.scheduler import RunningJob, Scheduler
from asr.serving.uploads import Upload, transcribe
from asr.transcription.transcriber import load
from tests.sounds import silence, speech


def recording(path, parts: int):
    samples = [part for seed in range(parts) for part in (speech(4.0, seed=seed), silence(1.0))]
    soundfile.write(path, np.concatenate(samples), 16000)
    return path


class Asked(RunningJob):
    """Writes down how much has been done whenever it is asked."""

    def __init__(self, done: dict[str, float]):
        super().__init__(Scheduler(), 1e9)
        self.done, self.most, self.times = done, dict.fromkeys(done, 0.0), 0

    def __call__(self) -> bool:
        self.times += 1
        for name, amount in self.done.items():
            self.most[name] = max(self.most[name], amount)
            self.done[name] = 0.0
        return super().__call__()


def test_a_long_upload_lets_live_work_go_before_at_every_step(model, tmp_path, monkeypatch):
    """However long it is: no more than a few seconds of audio are encoded, and one step is searched, before it asks again."""
    done = {"encoded": 0.0, "steps": 0.0}
    encode, forward = SpeechModel.encode, Decoder.forward

    def encoding(self, samples, *given):
        done["encoded"] += samples.numel() / 16000
        return encode(self, samples, *given)

    def stepping(self, tokens, *given, **named):
        done["steps"] += tokens.shape[2] == 1
        return forward(self, tokens, *given, **named)

    monkeypatch.setattr(SpeechModel, "encode", encoding)
    monkeypatch.setattr(Decoder, "forward", stepping)
    transcriber = load(model, "cpu", beam=2)
    for parts in (8, 24):
        running = Asked(done)
        with open(recording(tmp_path / "long.wav", parts), "rb") as file:
            *_, transcript = transcribe(transcriber, Upload(file, "long.wav", 1e6), running)
        assert transcript.duration == 5 * parts and running.times > parts
        assert 0 < running.most["encoded"] <= CPU_GROUP + 1 and running.most["steps"] == 1


def test_what_is_live_is_done_at_the_next_step_of_a_long_upload(model, tmp_path):
    """In the middle of its search, and again and again."""
    scheduler, live, order = Scheduler(), [], []
    transcriber = load(model, "cpu", beam=2)

    class Interrupted(RunningJob):
        def __call__(self) -> bool:
            order.append("step")
            scheduler.urgent.append(
                (SimpleNamespace(set_running_or_notify_cancel=lambda: True, set_result=live.append), said)
            )
            return super().__call__()

    def said() -> str:
        order.append("live")
        return "text"

    with open(recording(tmp_path / "long.wav", 4), "rb") as file:
        list(transcribe(transcriber, Upload(file, "long.wav", 1e6), Interrupted(scheduler, 1e9)))
    assert order == ["step", "live"] * (len(order) // 2) and len(live) > 20


@pytest.mark.parametrize("hours", [1, 100])
def test_a_streamed_transcript_is_not_made_anew_for_every_sentence_of_a_long_one(hours):
    """All of it is made each time: of a recording of any length not much oftener than of one that is half as long."""
    made = []

    class Segments:
        def open(self, path, name):
            return SimpleNamespace(duration=0.0, error=None)

        def stream(self, recordings, cancelled, together):
            for n in range(hours * 600):
                recordings[0].duration = 6.0 * n
                yield recordings[0], "segment"

        def transcript(self, recording):
            made.append(recording.duration)
            return recording.duration

    found = list(transcribe(Segments(), Upload(open(__file__, "rb"), "a", 1e9, True), RunningJob(Scheduler(), 1e9)))
    assert len(found) == hours * 600 + 1 and found[-1] == 6.0 * (hours * 600 - 1)
    half = sum(at < made[-1] / 2 for at in made)
    assert len(made) - half < 40 and made[:10] == [6.0 * n for n in range(10)]
