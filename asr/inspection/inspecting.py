"""A short clip recognised while somebody looks on: all that is to be seen of the way from its sound to its text."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch

from asr.audio.given import Audio, name_of
from asr.audio.reading import SAMPLE_RATE
from asr.audio.speech_probabilities import WINDOW
from asr.errors import AudioError, Cancelled, UsageError
from asr.inspection.network import Insides, insides
from asr.inspection.watching import Searched, Searches
from asr.stopping import never
from asr.transcript import Transcript
from asr.transcription.recordings import SHORTEST, RecordingInProgress, blocks_of
from asr.transcription.segmenting import speech_in
from asr.transcription.segments import segment_of
from asr.transcription.transcriber import Transcriber

LONGEST = 30.0
"""Seconds of the longest clip: more is not to be seen at once."""
SLACK = 0.5
"""Seconds that it may be longer: coders fill up what they are given."""


class ClipTooLong(AudioError):
    """More than can be shown."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Audio that was searched as one."""

    start: float
    """Seconds from the start of the clip."""
    searched: Searched
    """The search."""
    insides: Insides
    """The network's arrays."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """A clip, and what became of it."""

    samples: np.ndarray
    """(S,) at 16 kHz."""
    offset: float
    """Where the clip begins in its recording, in seconds."""
    speech: np.ndarray
    """(windows,) the probability that somebody speaks, of each window of WINDOW samples."""
    stretches: tuple[Stretch, ...]
    """In order of time; none where nobody speaks."""
    transcript: Transcript
    """The text, with times from the start of the recording."""
    transcriber: Transcriber
    """What it was recognised with."""


@torch.inference_mode()
def inspect(
    transcriber: Transcriber,
    audio: Audio,
    start: float = 0.0,
    end: float | None = None,
    *,
    name: str | None = None,
    cancelled: Callable[[], bool] = never,
    longest: float = LONGEST,
) -> Inspection:
    """Recognises a clip as `transcribe` does, and keeps what is to be seen on the way.

    start, end: which seconds of the recording. `name`: what messages call it. longest: seconds of the clip at most.
    Raises ClipTooLong, AudioError where it cannot be read, and Cancelled soon after `cancelled` says so.
    Example: `inspect(asr.load(), "clip.wav").transcript.text`
    """
    name = name or name_of(audio)
    problems: list[str] = []
    samples = clip(audio, start, end, name=name, problems=problems, cancelled=cancelled, longest=longest)
    recording = transcriber.open((samples, SAMPLE_RATE), name=name)
    pieces = [piece for _, piece in recording.pieces(cancelled) if piece.end - piece.start >= SHORTEST]
    tokenizer, recognizer = transcriber.loaded.tokenizer, transcriber.recognizer
    searches = Searches(tokenizer.table.eos)
    results = recognizer.recognize([p.samples for p in pieces], timed=True, cancelled=cancelled, watcher=searches)
    recording.segments = [segment_of(best, tokenizer, piece) for piece, (best, *_) in zip(pieces, results, strict=True)]
    stretches = []
    for piece in pieces:
        for searched in searches.of(piece.samples):
            if cancelled():
                raise Cancelled(f"{name}: given up while it was looked at")
            arrays = insides(transcriber.loaded.model, tokenizer.table, searched)
            stretches.append(Stretch(piece.start + searched.first / SAMPLE_RATE, searched, arrays))
    return Inspection(
        samples,
        start,
        _speech(recording, samples),
        tuple(stretches),
        _transcript(transcriber, recording, start, problems),
        transcriber,
    )


def clip(
    audio: Audio,
    start: float,
    end: float | None,
    *,
    name: str,
    problems: list[str],
    cancelled: Callable[[], bool] = never,
    longest: float = LONGEST,
) -> np.ndarray:
    """Those seconds of a recording, (S,) at 16 kHz. Nothing behind them is read."""
    if not (math.isfinite(start) and start >= 0) or (end is not None and not end > start):
        raise UsageError(f"start must be 0 or more and end behind it, they are {start:g} and {end} s")
    advice = f"{longest:g} s are the most that can be inspected; --start and --end choose them"
    if end is not None and end - start > longest:
        raise ClipTooLong(f"{name}: from {start:g} to {end:g} s are {end - start:.1f} s; {advice}")
    first, last = round(start * SAMPLE_RATE), None if end is None else round(end * SAMPLE_RATE)
    most = first + round((longest + SLACK) * SAMPLE_RATE) if last is None else last
    held, position = [], 0
    with closing(blocks_of(audio, name, problems)) as blocks:
        for block in blocks:
            held.append(block[max(0, first - position) : max(0, most + 1 - position)])
            position += len(block)
            if cancelled():
                raise Cancelled(f"{name}: given up while it was read")
            if position > most:
                break
    samples = np.concatenate([np.zeros(0, np.float32), *held])
    if last is None and len(samples) > most - first:
        raise ClipTooLong(f"{name}: is longer than {longest:g} s; {advice}")
    if not len(samples) and first:
        raise AudioError(f"{name}: ends at {position / SAMPLE_RATE:.1f} s, before the start at {start:g} s")
    return samples[: most - first]


def _speech(recording: RecordingInProgress, samples: np.ndarray) -> np.ndarray:
    """(windows,) what the network that finds speech says of each window."""
    padded = np.concatenate([samples, np.zeros(-len(samples) % WINDOW, np.float32)])
    return speech_in(recording.network, padded)


def _transcript(
    transcriber: Transcriber, recording: RecordingInProgress, offset: float, problems: list[str]
) -> Transcript:
    """With times in the recording, not in the clip."""
    found = transcriber.transcript(recording)

    def moved(x):
        return replace(x, start=round(x.start + offset, 3), end=round(x.end + offset, 3))

    segments = (replace(moved(s), tokens=tuple(map(moved, s.tokens))) for s in found.segments)
    return replace(found, segments=tuple(segments), warnings=(*problems, *found.warnings))
