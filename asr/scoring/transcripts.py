"""Transcripts to be scored, in whatever form they stand in a file: told apart by what the first lines hold.

- JSON lines, or a JSON list: objects with `id` and `text` (manifests, `asr evaluate`'s output; WeNet's `key` and `txt`, FunASR's
  `target`, NeMo's `audio_filepath` and `pred_text`), or `id` and `nbest`;
- a JSON document, as Whisper writes one for each recording, or subtitles (SRT, WebVTT, LRC, ASS): its id is the name of the
  file; a folder of such files, or of plain texts;
- a table: parted by tabs, commas or semicolons, with a header that names a column for the text, and one for the id or the audio;
- sclite's trn: `text (speaker-id)` on each line;
- STM and CTM: segments, or words, with their place in a recording;
- Kaldi text: `id text` on each line;
- plain lines: one utterance a line, in the same order in every file.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from asr.corpus.importing import kaldi_lines
from asr.errors import ManifestError
from asr.files import read_lines
from asr.foreign_bytes import quoted, reading
from asr.scoring.alternatives import open_parts
from asr.scoring.readers import COMMENTS, READERS, Line, form_of
from asr.scoring.timed import (
    IGNORED,
    TimedText,
    by_recording,
    names_of,
    read_parts,
    renamed_channels,
    words_in_segments,
)


@dataclass(frozen=True)
class Transcripts:
    """The utterances of a file."""

    path: Path
    form: str
    """One of FORMS."""
    lines: dict[str, Line]
    """By id; by the number of the line for plain lines."""
    parts: tuple[TimedText, ...] = ()
    """Of an STM or CTM, from which the lines are made when it is known what they are compared with."""


FORMS = {
    "jsonl": "JSON lines",
    "list": "a JSON list",
    "document": "a JSON document of one recording",
    "subtitles": "subtitles of one recording",
    "folder": "a folder with a file for each recording",
    "table": "a table",
    "trn": "sclite's trn (`text (id)`)",
    "stm": "STM",
    "ctm": "CTM",
    "kaldi": "Kaldi text (`id text`)",
    "plain": "plain lines",
}
KEYED = ("jsonl", "list", "table", "trn", "kaldi")
"""Forms in which each utterance has an id."""
RECORDINGS = ("document", "subtitles", "folder", "stm", "ctm")
"""Forms that are of whole recordings."""
Say = Callable[[str], None]


def read_together(
    paths: Sequence[str | Path],
    ids: bool | None = None,
    say: Say = lambda line: None,
    utt2spk: str | Path | None = None,
) -> list[Transcripts]:
    """Files that are to be matched with each other, the reference first; `say` is told what each was taken for.

    `ids`: whether lines that tell nothing else begin with an id; None decides by what they hold. Plain lines get the ids of
    the first file in its order. `utt2spk`: Kaldi's file of `id speaker`, for the references. Raises ManifestError where a
    file is empty or wrong, where plain lines are not as many as utterances, or where nothing tells whether lines begin with
    an id.
    """
    files = [(Path(path), _existing_lines(path)) for path in paths]
    with reading(" and ".join(map(str, paths)), ManifestError, "cannot be read"):
        forms = _forms(files, ids)
    read = [_read(path, lines, form, n > 0) for n, ((path, lines), form) in enumerate(zip(files, forms, strict=True))]
    remarks: list[str] = []
    read = _with_nothing(_as_recordings(_timed(read, remarks), remarks), remarks)
    for file in read:
        say(f"{file.path}: {FORMS[file.form]}, {len(file.lines):,} utterances")
    if n_open := sum(len(part) > 1 for line in read[0].lines.values() for part in line.parts):
        remarks.append(f"{read[0].path}: {n_open:,} places leave open what was said; what comes nearest counts")
    for remark in remarks:
        say(remark)
    if utt2spk:
        read[0] = _with_speakers(read[0], Path(utt2spk), say)
    return [read[0], *(_in_order_of(read[0], other) for other in read[1:])]


def _existing_lines(path: str | Path) -> list[str]:
    if Path(path).is_dir():
        return []
    lines = read_lines(path)
    if len(lines) < 2 and not "".join(lines).strip():
        raise ManifestError(f"{path}: is empty")
    return lines


def _read(path: Path, lines: list[str], form: str, hypothesis: bool = False) -> Transcripts:
    with reading(path, ManifestError, "cannot be read"):
        if form in ("stm", "ctm"):
            parts = tuple(read_parts(path, lines, form, may_be_open=not hypothesis))
            if not parts and not hypothesis:
                raise ManifestError(f"{path}: holds no transcript")
            return Transcripts(path, form, {}, parts)
        if form == COMMENTS:
            raise ManifestError(f"{path}: holds nothing but comments (;;)")
        hint = "; if lines have no id, say --no-ids" if form == "kaldi" else ""
        found = _unique(READERS[form](path, lines, hypothesis), hint)
    if not found:
        raise ManifestError(f"{path}: holds no transcript")
    return Transcripts(path, form, found)


def _unique(utterances: Iterable[tuple[str, str, Line]], hint: str = "") -> dict[str, Line]:
    found: dict[str, Line] = {}
    for where, id, line in utterances:
        if id in found:
            raise ManifestError(f"{where}: id must be unique, {quoted(id)} occurs twice{hint}")
        found[id] = line
    return found


def _forms(files: Sequence[tuple[Path, list[str]]], ids: bool | None) -> list[str]:
    """A form for each file. Where a file alone leaves it open, the others decide."""
    forms = [form_of(path, lines, ids) for path, lines in files]
    if not {"stm", "ctm"}.isdisjoint(forms):
        forms = ["ctm" if form == COMMENTS else form for form in forms]
    if None not in forms:
        return forms
    firsts = [_first_words(lines) for _, lines in files]
    known = [_known(form, path, lines) for form, (path, lines) in zip(forms, files, strict=True)]
    settled = []
    for n, (form, (path, _)) in enumerate(zip(forms, files, strict=True)):
        if form is None:
            others = [m for m in range(len(files)) if m != n]
            if any(_mostly(firsts[n], known[m]) for m in others):
                form = "kaldi"
            elif any(forms[m] in (*KEYED, *RECORDINGS, "plain") for m in others) or not others:
                form = "plain"
            elif _look_like_ids(firsts[n]) and all(set(firsts[n]) == set(firsts[m]) for m in others):
                form = "kaldi"
            elif any(set(firsts[n]) == set(firsts[m]) and len(set(firsts[n])) == len(firsts[n]) for m in others):
                raise ManifestError(f"{path}: nothing tells whether its lines begin with an id; say --ids or --no-ids")
            else:
                form = "plain"
        settled.append(form)
    return settled


def _known(form: str | None, path: Path, lines: list[str]) -> set[str]:
    """Ids of which a file tells by itself that they are some."""
    if form in ("stm", "ctm"):
        return {*_first_words(lines)}
    return (
        {id for _, id, _ in READERS[form](path, lines, False)}
        if form in (*KEYED, "document", "subtitles", "folder")
        else set()
    )


def _first_words(lines: list[str]) -> list[str]:
    return [line.split(maxsplit=1)[0] for line in lines if line.strip()]


def _mostly(words: list[str], known: set[str]) -> bool:
    return 2 * sum(word in known for word in words) > len(words)


def _look_like_ids(words: list[str]) -> bool:
    """Ids have digits in them, and each occurs once."""
    return len(set(words)) == len(words) and 2 * sum(bool(re.search(r"\d", word)) for word in words) >= len(words)


def _in_order_of(reference: Transcripts, other: Transcripts) -> Transcripts:
    alone = len(reference.lines) == len(other.lines) == 1 and {reference.form, other.form} & {*RECORDINGS}
    if "plain" not in (reference.form, other.form) and not alone:
        return other
    if len(reference.lines) != len(other.lines):
        raise ManifestError(
            f"{other.path}:{len(other.lines)}: {FORMS[other.form]} with {len(other.lines):,} utterances, but"
            f" {reference.path} has {len(reference.lines):,}; without ids there must be a line for each, in the same order"
        )
    return replace(other, lines=dict(zip(reference.lines, other.lines.values(), strict=True)))


def _with_speakers(reference: Transcripts, path: Path, say: Say) -> Transcripts:
    speakers = {id: speaker for _, id, speaker in kaldi_lines(path)}
    lacking = reference.lines.keys() - speakers.keys()
    if len(lacking) == len(reference.lines):
        raise ManifestError(f"{path}: has no id of {reference.path}; its first is {next(iter(speakers), 'none')!r}")
    if lacking:
        say(f"{path}: has no speaker for {len(lacking):,} of {len(reference.lines):,} ids")
    lines = {
        id: replace(line, fields={**line.fields, "speaker": speakers[id]}) if id in speakers else line
        for id, line in reference.lines.items()
    }
    return replace(reference, lines=lines)


def _timed(files: list[Transcripts], remarks: list[str]) -> list[Transcripts]:
    """Words of CTMs as the segments of an STM have them, everything else by recording."""
    names = names_of([file.parts for file in files])
    for channels in renamed_channels([file.parts for file in files], names):
        remarks.append(f"channels {' and '.join(channels)} are taken for one: no file has several of these recordings")
    reference, *others = files
    if reference.form != "stm" or any(file.form != "ctm" for file in others) or not others:
        return [
            replace(file, lines=_recordings(file, names, n == 0 and file.form == "stm")) if file.parts else file
            for n, file in enumerate(files)
        ]
    places = {
        f"{names[p.recording, p.channel]}-{p.speaker}-{p.start:.2f}-{p.end:.2f}": n
        for n, p in enumerate(reference.parts)
    }
    if len(places) < len(reference.parts):
        raise ManifestError(f"{reference.path}: the same speaker has two segments of the same times")
    scored = {id: reference.parts[n] for id, n in places.items() if reference.parts[n].text != IGNORED}
    read = [replace(reference, lines={id: _segment(part) for id, part in scored.items()})]
    for file in others:
        if not file.parts:
            read.append(file)
            continue
        found = words_in_segments(reference.parts, file.parts, names)
        if found.unknown == len(file.parts):
            raise ManifestError(
                f"{file.path}: has no recording of {reference.path}; its first is {_place(file)}, there it is"
                f" {_place(reference)}"
            )
        read.append(replace(file, lines={id: Line(" ".join(found.words[places[id]])) for id in scored}))
        for n, what in (
            (found.outside, "lie in no segment; each counts in the nearest"),
            (found.ignored, f"lie in segments that say {IGNORED}, and are left out"),
            (found.unknown, "are of recordings that have no segment, and are left out"),
        ):
            remarks += [f"{file.path}: {n:,} words {what}"] if n else []
    return read


def _place(file: Transcripts) -> str:
    """The recording and channel of the first part."""
    return f"{quoted(file.parts[0].recording)} on channel {quoted(file.parts[0].channel)}"


def _segment(part: TimedText) -> Line:
    fields = {"speaker": part.speaker, "recording": part.recording, "start": part.start}
    fields["duration"] = round(part.end - part.start, 3)
    return Line(part.text, fields=fields, parts=open_parts(part.text, _place_of(part)))


def _recordings(file: Transcripts, names: dict[tuple[str, str], str], open_texts: bool) -> dict[str, Line]:
    found = {}
    for id, parts in by_recording(file.parts, names).items():
        each = [open_parts(part.text, _place_of(part)) or ((part.text,),) for part in parts] if open_texts else []
        inside = tuple(chain.from_iterable(each)) if any(len(texts) > 1 for texts in each) else ()
        found[id] = Line(" ".join(part.text for part in parts), parts=inside)
    return found


def _place_of(part: TimedText) -> str:
    return f"{part.recording} at {part.start:g} s"


def _with_nothing(files: list[Transcripts], remarks: list[str]) -> list[Transcripts]:
    """An STM or CTM with comments alone says of every utterance of the reference that nothing was recognised."""
    reference, *others = files
    read = [reference]
    for file in others:
        if file.form in ("stm", "ctm") and not file.parts:
            remarks.append(f"{file.path}: holds no words: nothing counts as recognised")
            file = replace(file, lines=dict.fromkeys(reference.lines, Line("")))
        read.append(file)
    return read


def _as_recordings(files: list[Transcripts], remarks: list[str]) -> list[Transcripts]:
    """Plain lines beside what is of one recording are its text."""
    if not any(file.form in RECORDINGS and len(file.lines) == 1 for file in files):
        return files
    read = []
    for file in files:
        if file.form == "plain" and len(file.lines) > 1:
            remarks.append(f"{file.path}: its {len(file.lines):,} lines are taken for the text of one recording")
            file = replace(file, lines={"1": Line(" ".join(line.text for line in file.lines.values()))})
        read.append(file)
    return read
