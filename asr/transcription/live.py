"""`asr live`: text while somebody speaks.

What was heard since the last pause is decoded again and again; what two decodings in a row begin with is settled. A pause
ends the utterance, whose text is then what the full search finds.
"""

import copy
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from io import BufferedIOBase, RawIOBase

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.audio.speech_probabilities import WINDOW
from asr.errors import AsrError
from asr.extras import brings
from asr.finishing.finishing import Finishing, finish
from asr.recognition.recognizer import Recognizer
from asr.stopping import interruptible
from asr.transcript import Transcript
from asr.transcription.pcm import FIRST, Pcm, refuse_container
from asr.transcription.segments import segment_of
from asr.transcription.stream_utterances import EVERY, PAUSE, Due, Heard, Pace, StreamUtterances
from asr.transcription.transcriber import Transcriber

CHUNK_SECONDS = 0.05
NO_FILES = (
    "asr live takes bare samples: `arecord -t raw …`, or `ffmpeg -i FILE -f s16le -ac 1 -ar 16000 -`; asr transcribe - takes"
    " files of any format"
)
DEAF = 5.0
"""Seconds after which a microphone that gives no samples, not even of silence, is given up."""


class LiveTranscriber:
    """Text from one stream of samples as they come."""

    def __init__(
        self,
        transcriber: Transcriber,
        pause: float = PAUSE,
        every: float = EVERY,
        *,
        finishing: Finishing | None = None,
    ):
        """finishing: what is done to the text of an utterance that is over."""
        self.utterances = StreamUtterances.at_pauses(transcriber.voice_activity, transcriber.segments, pause, every)
        self.finishing = finishing or Finishing()
        self.changes = self.finishing != Finishing()
        """Whether what was recognised is not what is shown."""
        self.loaded, self.full = transcriber.loaded, without_second_pass(transcriber.recognizer)
        self.quick = quick_recognizer(self.full)
        self.pace = Pace()

    def hear(self, samples: np.ndarray) -> Iterator[Heard]:
        """The next samples (S,) at 16 kHz → finished utterances, and the open one where its text was looked at again."""
        yield from self._decoded(self.utterances.add(samples))

    def finish(self) -> Iterator[Heard]:
        """The last utterance, at the end of the stream."""
        yield from self._decoded(self.utterances.finish())

    def _decoded(self, dues: Iterator[Due]) -> Iterator[Heard]:
        for due in dues:
            if not (due.full or self.pace.ready):
                continue
            if due.result is None:
                began = time.monotonic()
                search, timed = (self.full, self.changes) if due.full else (self.quick, False)
                known = () if due.full else [due.known]
                due.result = search.recognize([due.piece.samples], timed=timed, known=known)[0][0]
                self.pace.spent(0.0 if due.final else time.monotonic() - began)
            heard = self.utterances.heard(due)
            if heard:
                yield self._finished(heard, due) if heard.final and self.changes else heard

    def _finished(self, heard: Heard, due: Due) -> Heard:
        """The utterance that is over, as it is to be read."""
        assert due.result is not None
        segment = segment_of(due.result, self.loaded.tokenizer, due.piece)
        text = finish(Transcript("live", due.piece.end, (segment,), self.loaded.name), self.finishing).text
        return replace(heard, text=text, settled=len(text))


def without_second_pass(full: Recognizer) -> Recognizer:
    """The same without a large language model, which would keep those waiting who read along."""
    first = copy.copy(full)
    first.large_lm = None
    return first


def quick_recognizer(full: Recognizer) -> Recognizer:
    """One that decodes what will be decoded again."""
    config = replace(full.config, beam=1, nbest=1, redecode=False)
    quick = Recognizer(full.model, full.tokenizer, config, full.lm, hotwords=full.hotwords)
    quick.provisional = True
    return quick


def transcribe_live(
    transcriber: Transcriber,
    chunks: Iterator[np.ndarray],
    format: str,
    say: Callable[[str], None],
    *,
    pause: float = PAUSE,
    finishing: Finishing | None = None,
) -> None:
    """Prints what is said in chunks (S,) at 16 kHz: finished utterances on stdout, the open one on stderr if that is a terminal.

    With format "json" every state of the text is a line on stdout. `pause`: seconds without speech that end an utterance;
    `finishing`: what is done to its text then.
    """
    live = LiveTranscriber(transcriber, pause, finishing=finishing)
    list(live.hear(np.zeros(WINDOW, np.float32)))  # the first calls are slow
    live.full.recognize([np.zeros(SAMPLE_RATE, np.float32)])
    live = LiveTranscriber(transcriber, pause, finishing=finishing)
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
        with interruptible():
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
    first = b""
    while len(first) < FIRST and (data := stream.read(FIRST - len(first))):
        first += data
    refuse_container(first, "stdin", NO_FILES)
    pcm = Pcm(rate)
    yield pcm.add(first)
    while data := stream.read(2 * int(CHUNK_SECONDS * rate)):
        yield pcm.add(data)
    yield pcm.finish()


def microphone_chunks() -> Iterator[np.ndarray]:
    """What the default microphone hears, as chunks (S,) at 16 kHz, without end. Raises AsrError at once if there is none."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio is missing
        raise AsrError(
            f"the microphone needs sounddevice ({error}): {brings('live')}, and on Linux the library"
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
