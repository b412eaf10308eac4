"""Known text to times: when each word of a text was said in a recording of any length."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from asr.audio.given import Audio, name_of
from asr.catalogue.decode_settings import decode_settings
from asr.catalogue.opening import open_model
from asr.decoding.decode_config import DecodeConfig
from asr.errors import AsrError, AudioError, UsageError
from asr.files import read_lines, split_lines
from asr.foreign_bytes import quoted
from asr.model.folder import LoadedModel
from asr.model.model import Memory
from asr.recognition.alignment import Evidence, best_path, ctc_evidence
from asr.recognition.encoding import encode, window_samples
from asr.recognition.frames import attended_path, frame_spans
from asr.recognition.recognizer import Recognizer
from asr.recognition.timing import attention, decoder_inputs
from asr.scoring.cer import align as pairs_of
from asr.text.normalize import holds_han
from asr.text.numbers import spell_numbers
from asr.text.tokenizer import Tokenizer
from asr.text.units import Unit, units, with_all_between
from asr.transcript import Segment, Span, Transcript, TranscriptToken
from asr.transcription.pieces import Piece, cut_at_pauses
from asr.transcription.recordings import blocks_of

LONGEST_ATTENTION = 30.0
"""Seconds that are aligned by attention at once: nobody trains it on longer audio."""
PIECES_AT_ONCE = 8
"""Pieces that are encoded together."""
UNHEARD = {"ctc": -7.0, "attention": -3.5}
"""Mean log-probability of tokens below which they are hardly what is said. By attention the embedded model gives the right texts
of 44 sentences by strangers -1.5 to 0, wrong texts -8 to -4; by its CTC head an earlier one gave -6.5 to -0.5 and -14 to -6."""
RIGHT_ONE = "the right one?"
"""What warnings ask that doubt the text as a whole."""
LINE_UNHEARD = "the model hears hardly anything of this line there: is it said at all?"
LINE_HURRIED = "nobody says this line as fast as that: is it said at all, and once only?"
LINE_DOUBTS = (LINE_UNHEARD, LINE_HURRIED)
LEAST_TOKENS = 4
"""A shorter line may be misheard, and its times be a little off; nothing is said of it."""
FASTEST = DecodeConfig.max_chars_per_second
"""Characters that anybody says in a second."""


@dataclass(frozen=True)
class Line:
    """A line of the text."""

    text: str
    """As it was given."""
    units: tuple[Unit, ...]
    """Its words and characters that the model has tokens for, or `<unk>`, with all that stands around them."""
    ids: tuple[tuple[int, ...], ...]
    """The tokens of each."""
    unknown: tuple[str, ...]
    """Those whose times are a guess, because the model does not know a character of theirs."""


class Aligner:
    """A loaded model that finds out when a text was said."""

    def __init__(self, loaded: LoadedModel, by: str = "auto", decode: DecodeConfig | None = None):
        """by: "ctc" for the CTC head, "attention" for the decoder's attention; "auto" takes the head where there is one.

        decode: how recordings are transcribed, for what is heard and written of them here; None for what is saved with the model.
        """
        if by not in ("auto", *UNHEARD):
            raise UsageError(f"by must be one of auto, {', '.join(UNHEARD)}, is {quoted(by)}")
        self.loaded, self.model, self.tokenizer = loaded, loaded.model, loaded.tokenizer
        self.decode = decode or decode_settings(loaded.folder)
        self.by = by if by != "auto" else "attention" if loaded.model.ctc is None else "ctc"
        if self.by == "ctc" and loaded.model.ctc is None:
            raise AsrError(f"{loaded.name}: has no CTC head to align by; its attention can")

    @torch.inference_mode()
    def align(self, audio: Audio, text: str | Path, name: str = "") -> Transcript:
        """A segment for each line of the text that holds a word. Punctuation stays, as marks of the words before it, or, where
        it opens, as the beginning of the word behind it.

        `text`: the text itself, or the Path of a file of it. `name` is what the transcript calls the recording, by default
        its path. Raises AsrError where the recording is too short for the text.
        """
        name = name or name_of(audio)
        lines = [line for line in (read_line(line, self.tokenizer) for line in _lines_of(text)) if line.units]
        if not lines:
            raise AsrError("the text to align holds no word")
        ids = [token for line in lines for word in line.ids for token in word]
        problems: list[str] = []
        pieces = list(cut_at_pauses(blocks_of(audio, name, problems)))
        duration = pieces[-1].end if pieces else 0.0
        if all(piece.silent for piece in pieces):
            raise AudioError(f"{name}: is silent: there is nothing to align the text with")
        found = self._by_ctc(pieces, ids) if self.by == "ctc" else self._by_attention(pieces, ids)
        if found is None:
            raise AsrError(
                f"{name}: {duration:.1f} s cannot hold the {len(ids):,} tokens of the text: is it the right one?"
            )
        segments = tuple(segments_of(lines, *found, UNHEARD[self.by]))
        warnings = (*problems, *_misfits(pieces, segments, found[1], UNHEARD[self.by]))
        return Transcript(name, duration, segments, self.loaded.name, warnings, {"aligned_by": self.by})

    def _by_ctc(self, pieces: Sequence[Piece], ids: Sequence[int]) -> tuple[list[Span], list[float]] | None:
        """Span and log-probability of each token; None where there are too many of them."""
        heard = list(self._heard(pieces, ids))
        if not heard:
            return None
        evidence = Evidence(
            np.concatenate([e.scores for _, e in heard]),
            heard[0][1].columns,
            np.concatenate([e.blank for _, e in heard]),
            heard[0][1].apart,
        )
        path = best_path(evidence)
        if path is None:
            return None
        found: list[Span] = []
        first = 0
        for piece, e in heard:
            inside = path.peaks[(path.peaks >= first) & (path.peaks < first + len(e.blank))] - first
            found += self._spans(inside, piece)
            first += len(e.blank)
        return found, path.log_probs.tolist()

    def _heard(self, pieces: Sequence[Piece], ids: Sequence[int]) -> Iterator[tuple[Piece, Evidence]]:
        """What the CTC head heard in each piece that is not silent."""
        loud = [piece for piece in pieces if not piece.silent]
        for first in range(0, len(loud), PIECES_AT_ONCE):
            group = loud[first : first + PIECES_AT_ONCE]
            memory = self._encode([piece.samples for piece in group])
            log_probs = self.model.ctc_log_probs(memory)
            for piece, length, row in zip(group, memory.lengths.tolist(), log_probs, strict=True):
                yield piece, ctc_evidence(row[:length].float().cpu().numpy(), ids, self.tokenizer.table.blank)

    def _encode(self, utterances: Sequence[np.ndarray]) -> Memory:
        """What the model hears of arrays (S,), in the windows in which they would be transcribed.

        With Whisper base, 95 % of the times of words in sentences are within 60 ms of those in 30 s, most are equal, and it takes
        half of the CPU time.
        """
        windows = window_samples(self.model, [len(u) for u in utterances], self.decode.window)
        return encode(self.model, utterances, windows=windows)

    def _by_attention(self, pieces: Sequence[Piece], ids: Sequence[int]) -> tuple[list[Span], list[float]] | None:
        """Spans from the decoder, which reads the text while it listens: to the whole recording, or piece by piece."""
        if not pieces:
            return None
        if pieces[-1].end <= (self.model.log_mel.config.window_seconds or LONGEST_ATTENTION):
            return self._in_piece(Piece(0, np.concatenate([piece.samples for piece in pieces])), ids)
        loud = [piece for piece in pieces if not piece.silent]
        ends = ends_in_text([self._written(piece) for piece in loud], ids)
        found: tuple[list[Span], list[float]] = [], []
        for piece, start, end in zip(loud, [0, *ends], ends, strict=False):
            part = self._in_piece(piece, ids[start:end]) if end > start else ([], [])
            if part is None:
                return None
            found[0].extend(part[0])
            found[1].extend(part[1])
        return found

    def _written(self, piece: Piece) -> Sequence[int]:
        """The tokens that the model itself writes for a piece."""
        config = replace(self.decode, beam=1, nbest=1, ctc_weight=0.0)
        [[best]] = Recognizer(self.model, self.tokenizer, config).recognize([piece.samples])
        return best.hypothesis.tokens

    def _in_piece(self, whole: Piece, ids: Sequence[int]) -> tuple[list[Span], list[float]] | None:
        """Spans and log-probabilities of tokens that are all said in one piece; None where they are too many for it."""
        memory = self._encode([whole.samples])
        state = self.model.decoder.start(memory.values, memory.mask)
        table = self.tokenizer.table
        path = attended_path(self.model, attention(self.model, table, [ids], state)[0, :, : len(ids)], whole.samples)
        if path is None:
            return None
        inputs = decoder_inputs(table, [ids]).to(memory.values.device)
        log_probs = self.model.decode_teacher_forced(memory, inputs)[0].float().log_softmax(-1)
        return self._spans(path.peaks, whole), log_probs[range(len(ids)), ids].tolist()

    def _spans(self, frames: np.ndarray, piece: Piece) -> list[Span]:
        """Frames of a piece → spans in the recording."""
        found = frame_spans(self.model, frames, piece.samples)
        return [(piece.start + start, piece.start + end) for start, end in found]


def ends_in_text(written: Sequence[Sequence[int]], ids: Sequence[int]) -> list[int]:
    """Where in a text each piece of a recording ends, by what was written for the pieces; the last ends where the text does.

    The two are laid side by side with as few differences as can be. Example: 你好 and 世杰 of 你好世界 end at 2 and 4.
    """
    ends, heard, read = [], 0, 0
    pairs = iter(pairs_of(_symbols(ids), _symbols([token for piece in written for token in piece])))
    for end in np.cumsum([len(piece) for piece in written]).tolist():
        while heard < end:
            said, found = next(pairs)
            read, heard = read + bool(said), heard + bool(found)
        ends.append(read)
    return [*ends[:-1], len(ids)]


def _symbols(ids: Sequence[int]) -> list[str]:
    return [chr(i + 1) for i in ids]


def align(audio: Audio, text: str | Path, model: str | Path = "", device: str = "auto") -> Transcript:
    """When each word of a text, or of the file at a Path, was said. Loads a model; to align several, `asr.load().align`.

    Raises AsrError where the recording cannot be read, or is too short for the text.
    Example: `asr.align("talk.wav", "今天天气很好").segments[0].tokens[0].start`
    """
    return Aligner(open_model(model, device)).align(audio, text)


def _lines_of(text: str | Path) -> list[str]:
    if isinstance(text, Path):
        return read_lines(text)
    if not isinstance(text, str):
        raise UsageError(f"the text to align must be a text, or the Path of a file of it, is {type(text).__name__}")
    if not holds_han(text) and os.path.isfile(text):
        raise UsageError(
            f"{text}: is the text to align, and there is a file called so; if that is meant, Path({text!r})"
        )
    return split_lines(text)


def read_line(text: str, tokenizer: Tokenizer) -> Line:
    """A line of text as the model's tokens. Numbers that the model cannot write are taken as they are read aloud."""
    table = tokenizer.table
    found: list[tuple[Unit, tuple[int, ...]]] = []
    unknown = []
    for unit in units(text):
        ids = tokenizer.encode(unit.text)
        if table.unk in ids and any(c.isdigit() for c in unit.text):
            counted = text[unit.end : unit.end + 1]  # 2024年 is not read as 2024个 is
            spelled = spell_numbers(unit.text + counted)  # which also writes 二 for 两
            ids = tokenizer.encode(spelled[: len(spelled) - len(spell_numbers(counted))])
        if table.unk in ids:
            unknown.append(unit.text)
        if ids:
            found.append((unit, tuple(ids)))
    shown = with_all_between(text, [unit for unit, _ in found])
    return Line(text.strip(), tuple(shown), tuple(ids for _, ids in found), tuple(unknown))


def segments_of(
    lines: Sequence[Line], times: Sequence[Span], log_probs: Sequence[float], unheard: float
) -> Iterator[Segment]:
    first = 0
    for line in lines:
        tokens, begun = [], first
        for unit, ids in zip(line.units, line.ids, strict=True):
            last = first + len(ids) - 1
            start, end = round(times[first][0], 3), round(times[last][1], 3)
            confidence = round(math.exp(sum(log_probs[first : last + 1]) / len(ids)), 4)
            tokens.append(TranscriptToken(unit.text, start, end, confidence, (first - begun, last - begun), unit.mark))
            first = last + 1
        warnings = (f"not known to the model, times are guesses: {' '.join(line.unknown)}",) if line.unknown else ()
        score = sum(log_probs[begun:first]) / (first - begun)
        if score < unheard and first - begun >= LEAST_TOKENS:
            warnings += (LINE_UNHEARD,)
        if len(tokens) > FASTEST * (tokens[-1].end - tokens[0].start) + LEAST_TOKENS:
            warnings += (LINE_HURRIED,)
        yield Segment(tokens[0].start, tokens[-1].end, tuple(tokens), line.text, score, warnings)


def _misfits(
    pieces: Sequence[Piece], segments: Sequence[Segment], log_probs: Sequence[float], unheard: float
) -> Iterator[str]:
    """Why the text as a whole may not be that of the recording."""
    seconds = sum(piece.end - piece.start for piece in pieces if not piece.silent)
    n = sum(len(segment.tokens) for segment in segments)
    if n > FASTEST * seconds:
        yield f"{n:,} characters in {seconds:.1f} s of sound are more than anybody says: is the text {RIGHT_ONE}"
    mean = sum(log_probs) / len(log_probs)
    if mean < unheard:
        yield (
            f"the model hears hardly anything of the text (mean confidence {math.exp(mean):.5f}): is it {RIGHT_ONE}"
            " The times are worth nothing if it is not"
        )


def text_of(given: str) -> str:
    """The contents of a text file, or the text itself if it is Chinese and no file is called so."""
    if os.path.isdir(given):
        raise AsrError(f"{given}: is a folder, not a text file")
    if os.path.exists(given):  # a pipe, too
        return "\n".join(read_lines(given))
    if holds_han(given):
        return given
    raise AsrError(f"{given}: no such text file")
