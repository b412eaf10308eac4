"""`asr live`: text while somebody speaks.

What was heard since the last pause is decoded again and again; what two decodings in a row begin with is settled. A pause
ends the utterance, which is then decoded once more with the full search.
"""

import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from io import BufferedIOBase, RawIOBase

import numpy as np
import soxr

from asr.audio.reading import SAMPLE_RATE
from asr.audio.voice_activity import WINDOW
from asr.errors import AsrError, AudioError
from asr.recognition.recognizer import Recognizer
from asr.transcription.pieces import Piece
from asr.transcription.segmenting import SpeechCutter
from asr.transcription.transcriber import Transcriber

PAUSE = 0.5
"""Seconds without speech that end an utterance."""
EVERY = 0.3
"""Seconds of new audio before what is open is decoded again."""
BUSY = 0.5
"""At most this share of the time goes into decodings that will be replaced."""
CHUNK_SECONDS = 0.05
CONTAINERS = {
    b"RIFF": "WAV",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"FORM": "AIFF",
    b"caff": "CAF",
    b"\x1aE\xdf\xa3": "Matroska",
}
"""First bytes → the format of a file."""
DEAF = 5.0
"""Seconds after which a microphone that gives no samples, not even of silence, is given up."""


@dataclass(frozen=True)
class Heard:
    """The text of the current utterance."""

    text: str
    """All of it, as far as it is known."""
    settled: int
    """Characters at its beginning on which two decodings agreed; all of them in the end."""
    final: bool
    """Whether the utterance is over."""
    start: float
    """Seconds since the stream began: where the utterance begins."""
    end: float
    """How far it has been heard."""


class LiveTranscriber:
    """Text from one stream of samples as they come."""

    def __init__(self, transcriber: Transcriber, pause: float = PAUSE, every: float = EVERY):
        padding = min(transcriber.segments.padding, pause)
        config = replace(transcriber.segments, pause=pause, padding=padding)
        self.cutter = SpeechCutter(transcriber.voice_activity, config, WINDOW)
        self.full, self.every = transcriber.recognizer, every
        quick = replace(self.full.config, beam=1, nbest=1, redecode=False)
        self.quick = Recognizer(self.full.model, self.full.tokenizer, quick, self.full.lm, hotwords=self.full.hotwords)
        self._begin()

    def _begin(self) -> None:
        self.text, self.settled = "", ""
        self.decoded = 0.0
        """Place in the stream up to which the utterance was decoded."""
        self.rest = 0.0
        """Seconds of audio to wait so that decoding does not take all the time."""

    def hear(self, samples: np.ndarray) -> Iterator[Heard]:
        """The next samples (S,) at 16 kHz → finished utterances, and the open one where its text was looked at again."""
        for piece in self.cutter.add(samples):
            yield from self._final(piece)
        if not self.cutter.speaking:
            return
        piece = self.cutter.open_piece()
        if piece.end - max(self.decoded, piece.start) < max(self.every, self.rest):
            return
        started = time.monotonic()
        text = self.quick.recognize([piece.samples])[0][0].text
        self.rest = (time.monotonic() - started) / BUSY
        agreed = _common_prefix(text, self.text)
        self.settled = max(self.settled, agreed, key=len) if text.startswith(self.settled) else self.settled
        # what is settled stays; the rest is the latest opinion
        self.text = text if text.startswith(self.settled) else self.settled + text[len(self.settled) :]
        self.decoded = piece.end
        if self.text:
            yield Heard(self.text, len(self.settled), False, piece.start, piece.end)

    def finish(self) -> Iterator[Heard]:
        """The last utterance, at the end of the stream."""
        for piece in self.cutter.finish():
            yield from self._final(piece)

    def _final(self, piece: Piece) -> Iterator[Heard]:
        text = self.full.recognize([piece.samples])[0][0].text
        self._begin()
        if text:
            yield Heard(text, len(text), True, piece.start, piece.end)


def _common_prefix(a: str, b: str) -> str:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]


def transcribe_live(
    transcriber: Transcriber,
    chunks: Iterator[np.ndarray],
    format: str,
    say: Callable[[str], None],
    *,
    pause: float = PAUSE,
) -> None:
    """Prints what is said in chunks (S,) at 16 kHz: finished utterances on stdout, the open one on stderr if that is a terminal.

    With format "json" every state of the text is a line on stdout. `pause`: seconds without speech that end an utterance.
    """
    live = LiveTranscriber(transcriber, pause)
    list(live.hear(np.zeros(WINDOW, np.float32)))  # the first calls are slow
    transcriber.recognizer.recognize([np.zeros(SAMPLE_RATE, np.float32)])
    live = LiveTranscriber(transcriber, pause)
    say("asr: listening; Ctrl-C ends it")
    terminal, shown = sys.stderr.isatty(), ""

    def show(heard: Heard) -> None:
        nonlocal shown
        if terminal and format != "json":
            print("\r" + " " * 2 * len(shown) + "\r", end="", file=sys.stderr, flush=True)
            shown = "" if heard.final else heard.text
            print(shown, end="", file=sys.stderr, flush=True)
        if format == "json":
            print(json.dumps(asdict(heard), ensure_ascii=False), flush=True)
        elif heard.final:
            print(heard.text, flush=True)

    try:
        for chunk in _prefetched(chunks):
            for heard in live.hear(chunk):
                show(heard)
    except KeyboardInterrupt:
        pass
    finally:  # also where the microphone fails: what was said before is not lost
        for heard in live.finish():
            show(heard)


def _prefetched(chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The chunks, read by a thread so that none is lost while the model is busy; what has piled up comes as one."""
    waiting: queue.Queue[np.ndarray | BaseException | None] = queue.Queue()

    def read() -> None:
        try:
            for chunk in chunks:
                waiting.put(chunk)
            waiting.put(None)
        except BaseException as error:
            waiting.put(error)

    threading.Thread(target=read, daemon=True).start()
    ended = False
    while not ended:
        parts = [waiting.get()]
        while not waiting.empty():
            parts.append(waiting.get())
        last = parts[-1]
        ended = not isinstance(last, np.ndarray)
        if ended:
            parts.pop()
        if parts:
            yield np.concatenate(parts)
        if isinstance(last, BaseException):
            raise last


def pcm_chunks(stream: RawIOBase | BufferedIOBase, rate: int) -> Iterator[np.ndarray]:
    """Signed 16-bit little-endian mono samples from a pipe → chunks (S,) at 16 kHz. Raises AudioError for a file's bytes.

    The pipe is read without a buffer: `read` gives what is there, and waits only where nothing is.
    """
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32") if rate != SAMPLE_RATE else None
    left = b""
    while len(left) < 8 and (data := stream.read(8 - len(left))):
        left += data
    _refuse_container(left)
    while data := stream.read(2 * int(CHUNK_SECONDS * rate)):
        data = left + data
        whole = len(data) // 2 * 2
        left = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
        yield resampler.resample_chunk(samples) if resampler else samples
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _refuse_container(first: bytes) -> None:
    found = [name for start, name in CONTAINERS.items() if first.startswith(start)]
    if first[4:] == b"ftyp":
        found = ["MP4"]
    if found:
        raise AudioError(
            f"stdin: is {found[0]}, and asr live takes bare samples: `arecord -t raw …`, or `ffmpeg -i FILE -f s16le -ac 1"
            " -ar 16000 -`; asr transcribe - takes files of any format"
        )


def microphone_chunks() -> Iterator[np.ndarray]:
    """What the default microphone hears, as chunks (S,) at 16 kHz, without end. Raises AsrError at once if there is none."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio is missing
        raise AsrError(
            f"the microphone needs sounddevice ({error}): pip install 'mandarin-asr[live]', and on Linux the library"
            " PortAudio (on Debian: apt-get install libportaudio2)"
        ) from error
    heard: queue.Queue[np.ndarray] = queue.Queue()
    try:
        stream = sounddevice.InputStream(
            SAMPLE_RATE,
            int(CHUNK_SECONDS * SAMPLE_RATE),
            channels=1,
            dtype="float32",
            callback=lambda data, *_: heard.put(data[:, 0].copy()),
        )
        stream.start()
    except sounddevice.PortAudioError as error:
        raise AsrError(
            f"no microphone can be opened ({error}): `python -m sounddevice` lists what there is; 16-bit PCM of another"
            " program can be piped into `asr live -`"
        ) from error
    return _heard(stream, heard)


def _heard(stream, heard: queue.Queue[np.ndarray]) -> Iterator[np.ndarray]:
    with stream:  # closes it in the end
        while True:
            try:
                yield heard.get(timeout=DEAF)
            except queue.Empty:
                raise AsrError(f"the microphone has given nothing for {DEAF:g} s: is it still connected?") from None
