"""Every form in which a caller may have a recording gives what its file gives; what cannot be meant is told with what to do."""

import gzip
import io
import re
import tempfile
import zipfile

import numpy as np
import pytest
import soundfile
import torch

import asr
from asr.audio.given import name_of
from asr.audio.reading import SAMPLE_RATE
from asr.errors import AudioError
from asr.files import OPEN_FILES, on_disk
from tests.sounds import speech

SAMPLES = (speech(2.0) * 32768).astype(np.int16)


@pytest.fixture(scope="module")
def transcriber(model):
    return asr.load(model, "cpu", beam=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    soundfile.write(path, SAMPLES, SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def expected(transcriber, path):
    segments = transcriber.transcribe(path).segments
    assert segments and segments[0].tokens
    return segments


FLOATS = (SAMPLES / 32768).astype(np.float32)
ARRAYS = {
    "int16": SAMPLES,
    "int32": SAMPLES.astype(np.int32) * 65536,
    "float32": FLOATS,
    "float64": FLOATS.astype(np.float64),
    "(1, n)": FLOATS[None],
    "(n, 1)": FLOATS[:, None],
    "(n, 2)": np.stack([FLOATS, FLOATS], axis=1),
    "read only": np.frombuffer(SAMPLES.tobytes(), "<i2"),
    "every second": np.repeat(FLOATS, 2)[::2],
    "list": FLOATS.tolist(),
    "tensor": torch.from_numpy(FLOATS),
    "tensor (1, n)": torch.from_numpy(FLOATS)[None],
    "tensor (n, 2)": torch.from_numpy(np.stack([FLOATS, FLOATS], axis=1)),
    "tensor int16": torch.from_numpy(SAMPLES),
    "tensor with gradient": torch.from_numpy(FLOATS).clone().requires_grad_(),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_samples_with_their_rate(transcriber, expected, name):
    transcript = transcriber.transcribe((ARRAYS[name], SAMPLE_RATE))
    assert transcript.segments == expected and transcript.audio == "array" and transcript.duration == 2.0


def test_tensors_of_sixteen_bits(transcriber):
    half = torch.from_numpy(FLOATS).bfloat16()
    assert transcriber.transcribe((half, SAMPLE_RATE)).segments == (
        transcriber.transcribe((half.float().numpy(), SAMPLE_RATE)).segments
    )


def test_a_row_of_few_samples_is_one_channel(transcriber):
    assert transcriber.transcribe((np.zeros((1, 40), np.float32), SAMPLE_RATE)).duration == 40 / SAMPLE_RATE


class Trickling:
    """Gives a few bytes at a time, as a connection does, and can nothing else."""

    def __init__(self, data: bytes):
        self.data = io.BytesIO(data)

    def read(self, n: int = -1) -> bytes:
        return self.data.read(min(n, 1000))


def zipped(data: bytes):
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    archive.writestr("a.wav", data)
    return archive.open("a.wav")


def behind_a_header(data: bytes):
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(b"a header of somebody's" + data)
    file.seek(22)
    return file


def spooled(data: bytes):
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(0)
    return file


def unflushed(data: bytes):
    file = tempfile.NamedTemporaryFile(suffix=".wav")  # noqa: SIM115
    file.write(data)
    file.seek(0)
    return file


FILES = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "BytesIO": io.BytesIO,
    "trickling": Trickling,
    "in a zip file": zipped,
    "gzip": lambda data: gzip.open(io.BytesIO(gzip.compress(data))),
    "behind a header": behind_a_header,
    "spooled": spooled,
    "a file that was just written": unflushed,
}


@pytest.mark.parametrize("kind", FILES)
def test_bytes_and_open_files(transcriber, path, expected, kind):
    transcript = transcriber.transcribe(FILES[kind](path.read_bytes()))
    assert transcript.segments == expected and transcript.duration == 2.0


def test_a_file_opened_by_its_name_is_called_by_it(transcriber, path, expected):
    with open(path, "rb") as file:
        transcript = transcriber.transcribe(file)
        assert transcript.segments == expected and transcript.audio == str(path)
        with on_disk(file) as name:
            assert not OPEN_FILES.is_dir() or name.parent == OPEN_FILES  # and is not copied
    with open(path, "rb", buffering=0) as file:
        assert transcriber.transcribe(file).segments == expected


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg"])
def test_bytes_of_any_container(transcriber, suffix):
    file = io.BytesIO()
    soundfile.write(file, FLOATS, SAMPLE_RATE, format=suffix)
    transcript = transcriber.transcribe(file.getvalue())
    assert transcript.text and transcript.duration == pytest.approx(2.0, abs=0.1) and transcript.audio == "bytes"


def test_every_method_takes_them(transcriber, path, expected):
    audios = [path.read_bytes(), io.BytesIO(path.read_bytes()), (torch.from_numpy(FLOATS)[None], SAMPLE_RATE), path]
    for _, transcript in transcriber.transcribe_all(audios):
        assert transcript.segments == expected
    assert tuple(transcriber.iter_segments(path.read_bytes())) == expected
    times = [s.tokens for s in transcriber.align(path, "今天").segments]
    for audio in (path.read_bytes(), io.BytesIO(path.read_bytes()), (torch.from_numpy(SAMPLES), SAMPLE_RATE)):
        assert [s.tokens for s in transcriber.align(audio, "今天").segments] == times


def test_alignment_reads_a_text_file(transcriber, path, tmp_path):
    (tmp_path / "text.txt").write_text("今天\n天气\n", encoding="utf-8")
    assert len(transcriber.align(path, tmp_path / "text.txt").segments) == 2
    assert transcriber.align(path, tmp_path / "text.txt") == transcriber.align(path, "今天\n天气")


def test_channels_of_a_tensor(transcriber):
    stereo = torch.from_numpy(np.stack([FLOATS, np.zeros_like(FLOATS)], axis=1))
    assert {s.channel for s in transcriber.transcribe((stereo, SAMPLE_RATE), split=True).segments} == {0}


class Breaking:
    def read(self, n: int = -1) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")


def closed():
    file = io.BytesIO(b"RIFF")
    file.close()
    return file


def just_written():
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, SAMPLE_RATE, format="wav")
    return file


KINDS = "audio must be a path, bytes of a file, an open file, or a pair (samples, sample rate), is "
WRONG = {
    "array alone": (np.zeros(100), f"{KINDS}ndarray: which rate do its samples have? (samples, 16000)"),
    "tensor alone": (torch.zeros(1, 100), f"{KINDS}Tensor: which rate do its samples have? (samples, 16000)"),
    "nothing": (None, f"{KINDS}NoneType"),
    "list": (["a.wav", "b.wav"], f"{KINDS}list; transcribe_all takes several recordings"),
    "turned pair": ((16000, np.zeros(100)), "audio is (sample rate, samples), must be (samples, sample rate)"),
    "text": (io.StringIO("RIFF"), 'StringIO: is open as a text; open it with "rb"'),
    "no audio": (
        SAMPLES.tobytes(),
        "bytes: not recognised as audio, or damaged (Invalid data found when processing input); if they are bare samples of"
        " 16 bits: (np.frombuffer(data, np.int16), sample rate)",
    ),
    "no bytes": (b"", "bytes: the file is empty (0 bytes)"),
    "empty file": (io.BytesIO(), "BytesIO: the file is empty (0 bytes)"),
    "at its end": (just_written(), "BytesIO: has been read to its end already; seek(0) goes back to its beginning"),
    "closed": (closed(), "BytesIO: cannot be read (I/O operation on closed file.)"),
    "breaking": (Breaking(), "Breaking: cannot be read ([Errno 104] Connection reset by peer)"),
    "channels first": (
        (torch.zeros(2, 16000), SAMPLE_RATE),
        "array: must be (samples,) or (samples, channels), is (2, 16000); channels stand last: samples.T; several recordings"
        " are given one by one",
    ),
    "batch": (
        (np.zeros((3, 1, 9)), SAMPLE_RATE),
        "array: must be (samples,) or (samples, channels), is (3, 1, 9)",
    ),
    "bytes of samples": (
        (SAMPLES.tobytes(), SAMPLE_RATE),
        "its samples are bytes: np.frombuffer(data, np.int16) makes samples of 16 bits of them",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("method", ["transcribe", "align"])
def test_what_is_no_recording_is_told(transcriber, name, method):
    audio, message = WRONG[name]
    with pytest.raises(AudioError, match=f"^{re.escape(message)}"):
        transcriber.transcribe(audio) if method == "transcribe" else transcriber.align(audio, "今天")


def test_nothing_is_left_of_what_was_copied(transcriber, path, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    transcriber.transcribe(path.read_bytes())
    with pytest.raises(AudioError):
        transcriber.transcribe(b"RIFF")
    assert not list(tmp_path.iterdir())


def test_names():
    assert name_of("a.wav") == "a.wav" and name_of(b"") == "bytes" and name_of((SAMPLES, 8000)) == "array"
    with tempfile.TemporaryFile() as file:  # its name is a number
        assert name_of(file) == "BufferedRandom"
