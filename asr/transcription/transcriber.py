"""Recordings of any length to transcripts."""

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from asr.audio.reading import read_blocks, resample
from asr.decoding.recognizer import Recognizer
from asr.decoding.search import CandidateScorer
from asr.decoding.settings import DecodeConfig
from asr.decoding.wordlists import Hotwords, read_hotwords
from asr.model.folder import LoadedModel
from asr.transcript import Segment, Transcript
from asr.transcription.models import find_model, language_model, open_model
from asr.transcription.segmenting import Piece, cut_at_pauses
from asr.transcription.settings import decode_settings
from asr.transcription.tokens import transcript_tokens

PIECES_AT_ONCE = 8
"""Pieces decoded together: memory is bounded by this, not by the recording."""
SHORTEST = 0.2
"""Seconds; nothing that can be recognised is said in less."""
NO_AUDIO = "holds no audio: 0 seconds"
TOO_SHORT = f"is too short to recognise: less than {SHORTEST:g} s"
SILENCE = "is silent: no sample, channels averaged, is above -80 dBFS"

Audio = str | os.PathLike | tuple[np.ndarray, int]
"""A path, or an array (S,) or (S, channels) with its sample rate."""


class Transcriber:
    """A loaded model that turns audio into transcripts."""

    def __init__(
        self,
        loaded: LoadedModel,
        decode: DecodeConfig | None = None,
        lm: CandidateScorer | None = None,
        hotwords: Hotwords | None = None,
    ):
        self.loaded = loaded
        self.recognizer = Recognizer(loaded.model, loaded.tokenizer, decode, lm, hotwords)

    def transcribe(self, audio: Audio) -> Transcript:
        """The transcript of a recording. Raises AudioError where it cannot be read."""
        segments, warnings, duration, heard = [], [], 0.0, False
        for segment in self.iter_segments(audio):
            duration = segment.end
            heard = heard or segment.score is not None
            segments.append(segment)
        if not duration:
            warnings.append(NO_AUDIO)
        elif duration < SHORTEST:
            warnings.append(TOO_SHORT)
        elif not heard:
            warnings.append(SILENCE)
        name = str(audio) if not isinstance(audio, tuple) else "array"
        settings = asdict(self.recognizer.config)
        return Transcript(name, duration, tuple(segments), self.loaded.name, tuple(warnings), settings)

    def iter_segments(self, audio: Audio) -> Iterator[Segment]:
        """Segments in order of time, as they are decoded; only a few pieces of the recording are in memory."""
        waiting: list[Piece] = []
        for piece in cut_at_pauses(blocks_of(audio)):
            waiting.append(piece)
            if len(waiting) == PIECES_AT_ONCE:
                yield from self._decode(waiting)
                waiting = []
        yield from self._decode(waiting)

    def _decode(self, pieces: list[Piece]) -> Iterator[Segment]:
        loud = [piece for piece in pieces if not piece.silent and piece.end - piece.start >= SHORTEST]
        results = iter(self.recognizer.recognize([piece.samples for piece in loud], timed=True))
        for piece in pieces:
            segment = Segment(piece.start, piece.end)
            if piece in loud:
                best = next(results)[0]
                segment = replace(
                    segment,
                    tokens=transcript_tokens(best, self.loaded.tokenizer, piece.start, piece.end),
                    raw=best.text,
                    score=best.hypothesis.score,
                    warnings=best.hypothesis.warnings,
                    hotwords=tuple(word for _, word in best.hotwords),
                )
            yield segment


def load(
    model: str | Path = "",
    device: str = "auto",
    decode: DecodeConfig | None = None,
    precision: str = "none",
    hotwords: str | Path | None = None,
    lm: str | Path | None = None,
) -> Transcriber:
    """A model by path or name, ready to transcribe; without a name, the one that came with the program.

    `decode`: the settings saved with the model by default. `precision` "int8": weights of 8 bits, faster on a CPU.
    `hotwords`: a file with a word a line. `lm`: an n-gram model, an ARPA file, in place of the one that the model may come
    with; "none" for none.
    Example: `asr.load().transcribe("talk.wav").text`
    """
    loaded = open_model(model, device, precision)
    folder, table = find_model(model), loaded.tokenizer.table
    config = decode or decode_settings(folder)
    scorer = language_model(folder, loaded, config, lm)
    words = read_hotwords(hotwords, loaded.tokenizer, table, config.hotword_weight) if hotwords else None
    return Transcriber(loaded, config, scorer, words)


def transcribe(audio: Audio, model: str | Path = "", device: str = "auto") -> Transcript:
    """Loads a model and transcribes one recording; to transcribe several, keep what `load` returns."""
    return load(model, device).transcribe(audio)


def blocks_of(audio: Audio) -> Iterator[np.ndarray]:
    """The recording as blocks (S,) at 16 kHz."""
    if not isinstance(audio, tuple):
        return read_blocks(audio)
    samples, rate = audio
    return iter([resample(np.asarray(samples), rate)])
