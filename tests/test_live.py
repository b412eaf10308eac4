"""Text while somebody speaks: a recording is piped in at the speed at which it plays."""

import io
import json
import signal
import sys
import time

import numpy as np
import pytest

from asr.errors import AsrError, AudioError
from asr.finishing.finishing import Finishing
from asr.transcription.live import LiveTranscriber, microphone_chunks, pcm_chunks, transcribe_live
from asr.transcription.pcm import Pcm
from asr.transcription.transcriber import load
from tests import forked
from tests.sounds import noise, silence, speech

TALK = np.concatenate([silence(1), speech(4), silence(2), speech(2.5, seed=1), silence(2)]) + noise(11.5, level=0.0005)
"""Speech from 1 to 5 s and from 7 to 9.5 s, in a quiet room."""


@pytest.fixture(scope="module")
def transcriber(model):
    return load(model, "cpu")


def heard(transcriber, samples: np.ndarray, chunk: int = 800, finishing: Finishing | None = None):
    live = LiveTranscriber(transcriber, finishing=finishing)
    events = [event for i in range(0, len(samples), chunk) for event in live.hear(samples[i : i + chunk])]
    return events + list(live.finish())


def test_utterances_are_finished_at_pauses(transcriber):
    finals = [event for event in heard(transcriber, TALK) if event.final]
    assert [event.start for event in finals] == pytest.approx([0.5, 6.5], abs=0.3)
    assert [event.end for event in finals] == pytest.approx([5.5, 10], abs=0.5)
    for event in finals:
        piece = TALK[round(event.start * 16000) : round(event.end * 16000)]
        assert event.text == transcriber.recognizer.recognize([piece])[0][0].text
        assert event.settled == len(event.text)


def test_what_is_over_is_made_ready_to_read(transcriber):
    plain = [event.text for event in heard(transcriber, TALK) if event.final]
    marked = [event for event in heard(transcriber, TALK, finishing=Finishing(punctuate="pauses")) if event.final]
    assert [event.text.replace("，", "").replace("。", "") for event in marked] == plain
    assert all(event.text.endswith("。") and event.settled == len(event.text) for event in marked)


def test_what_is_settled_stays_until_the_utterance_ends(transcriber, monkeypatch):
    monkeypatch.setattr(
        "asr.transcription.stream_utterances.BUSY", float("inf")
    )  # a slow machine would leave out some decodings
    settled = ""
    states = heard(transcriber, TALK)
    assert sum(not event.final for event in states) > 5
    for event in states:
        if event.final:
            settled = ""
            continue
        assert event.text.startswith(settled) and event.settled >= len(settled)
        settled = event.text[: event.settled]


def test_nothing_is_heard_in_noise(transcriber):
    assert heard(transcriber, np.concatenate([silence(3), noise(10)])) == []


def test_speech_that_the_stream_ends_in_is_finished(transcriber):
    assert [event.final for event in heard(transcriber, TALK[: 4 * 16000])][-1]


class Pipe(io.BytesIO):
    """Gives odd chunks."""

    def read(self, n: int = -1) -> bytes:
        return super().read(min(n, 333))


@pytest.mark.parametrize(
    ("law", "codes", "values"),
    [  # of ITU-T's G.711: the loudest, the faintest, and one between
        ("pcmu", [0x00, 0x80, 0x7F, 0xFF, 0x9F], [-32124, 32124, 0, 0, 8316]),
        ("pcma", [0x2A, 0xAA, 0x55, 0xD5, 0xB5], [-32256, 32256, -8, 8, 8448]),
    ],
)
def test_codes_of_telephones(law, codes, values):
    pcm = Pcm(16000, law)
    heard = np.concatenate([pcm.add(bytes([code])) for code in codes])
    assert heard.dtype == np.float32 and (heard * 32768).tolist() == values
    assert len(Pcm(8000, law).add(bytes(8000))) == pytest.approx(16000, abs=2000)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_what_a_resampler_holds_is_given_at_each_end(rate):
    """And it begins anew: a second stream is heard as the first."""
    pcm, samples = Pcm(rate), (speech(0.2)[:2400] * 32767).astype("<i2").tobytes()
    first, second = (np.concatenate([pcm.add(samples), pcm.finish()]) for _ in range(2))
    assert len(first) == pytest.approx(2400 * 16000 / rate, abs=1) and np.array_equal(first, second)


def test_pcm_of_any_rate_and_odd_chunks():
    samples = (speech(2) * 32767).astype("<i2")
    same = np.concatenate(list(pcm_chunks(Pipe(samples.tobytes()), 16000)))
    assert np.array_equal(same, samples.astype(np.float32) / 32768)
    double = np.concatenate(list(pcm_chunks(Pipe(samples.repeat(2).tobytes()), 32000)))
    assert len(double) == pytest.approx(32000, abs=2000)


@pytest.mark.parametrize(
    ("first", "name"), [(b"RIFF", "WAV"), (b"fLaC", "FLAC"), (b"\0\0\0\x20ftypM4A ", "MP4"), (b"ID3\4", "MP3")]
)
def test_a_file_in_the_pipe_is_refused(first, name):
    with pytest.raises(AudioError, match=f"stdin: is {name}, and asr live takes bare samples: `arecord -t raw …`"):
        list(pcm_chunks(Pipe(first + b"\0" * 100), 16000))


def test_nothing_is_lost_at_the_end_of_a_pipe_of_another_rate():
    samples = (speech(2) * 32767).astype("<i2").repeat(3)
    assert len(np.concatenate(list(pcm_chunks(io.BytesIO(samples.tobytes()), 48000)))) == len(samples) // 3


def test_what_was_said_before_the_microphone_failed_is_printed(transcriber, capsys):
    def microphone():
        yield TALK[: 4 * 16000]
        raise AsrError("gone")

    with pytest.raises(AsrError, match="gone"):
        transcribe_live(transcriber, microphone(), "json", lambda line: None)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["final"]


def test_a_rate_goes_with_a_pipe_only(run):
    status, _, told = run("live", "--rate", "8000")
    assert status == 2 and "goes with - only: the microphone says its rate itself" in " ".join(told.split())


def test_a_microphone_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AsrError, match=r"the microphone needs sounddevice .*: pip install 'mandarin-asr\[live\]'"):
        microphone_chunks()


class FakeSoundDevice:
    """In the place of the package sounddevice: a microphone that gives one chunk, or none that can be opened."""

    class PortAudioError(Exception):
        pass

    def __init__(self, fails_at: str = ""):
        class InputStream:
            def __init__(stream, samplerate, blocksize, *, channels, dtype, callback):
                assert (samplerate, blocksize, channels, dtype) == (16000, 800, 1, "float32")
                stream.callback, stream.closed = callback, False
                if fails_at == "open":
                    raise self.PortAudioError("Error querying device -1")
                self.stream = stream

            def start(stream):
                if fails_at == "start":
                    raise self.PortAudioError("Device unavailable")
                stream.callback(np.full((800, 1), 0.5, np.float32), 800, None, None)

            def __enter__(stream):
                return stream

            def __exit__(stream, *error):
                stream.closed = True

        self.InputStream = InputStream


def test_a_microphone_is_heard_until_it_is_gone(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", device := FakeSoundDevice())
    monkeypatch.setattr("asr.transcription.live.DEAF", 0.1)
    chunks = microphone_chunks()
    assert np.array_equal(next(chunks), np.full(800, 0.5, np.float32))
    with pytest.raises(AsrError, match=r"the microphone has given nothing for 0.1 s: is it still connected\?"):
        next(chunks)
    assert device.stream.closed


@pytest.mark.parametrize(("fails_at", "why"), [("open", "Error querying device -1"), ("start", "Device unavailable")])
def test_no_microphone(run, monkeypatch, fails_at, why):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(fails_at))
    assert run("live") == (
        1,
        "",
        f"asr: no microphone can be opened ({why}): `python -m sounddevice` lists what there is; 16-bit PCM of another"
        " program can be piped into `asr live -`\n",
    )


def test_a_pipe_is_transcribed_as_it_comes(model):
    """What is printed while the pipe is open, and at its end."""
    command = [sys.executable, "-m", "asr", "live", "-", "--format", "json", "--model", str(model)]
    pipe = forked.PIPE
    with forked.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert b"listening" in process.stderr.readline()
        pcm = (TALK * 32767).astype("<i2").tobytes()
        process.stdin.write(pcm[: 2 * 16000 * 4])
        process.stdin.flush()
        first = json.loads(process.stdout.readline())  # comes although the pipe goes on
        rest, _ = process.communicate(pcm[2 * 16000 * 4 :], timeout=120)
        assert process.returncode == 0
    assert not first["final"]
    assert sum(state["final"] for state in map(json.loads, rest.splitlines())) == 2


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_was_said_is_printed_however_it_is_ended(transcriber, capsys, monkeypatch, name):
    """By `timeout 60 asr live`, a supervisor or a terminal that goes as by Ctrl-C."""
    number = getattr(signal, name)
    monkeypatch.setattr("asr.transcription.live._prefetched", lambda chunks: chunks)
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {one: signal.signal(one, handler) for one, handler in usual.items()}

    def talk():
        yield TALK[: 2 * 16000]
        signal.raise_signal(number)
        yield TALK[2 * 16000 :]

    try:
        transcribe_live(transcriber, talk(), "json", lambda message: None)
        assert {one: signal.getsignal(one) for one in usual} == usual
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    *_, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert last["final"] and last["end"] <= 2.0


def test_it_ends_quietly_while_nothing_comes(model):
    """Ctrl-C, the pipe still open: a thread is waiting for it."""
    # what is started in the background ignores Ctrl-C, and so would this
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from asr.cli import main; main()"
    command = [sys.executable, "-c", start, "live", "-", "--model", str(model)]
    pipe = forked.PIPE
    with forked.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert b"listening" in process.stderr.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == process.stderr.read() == b""
