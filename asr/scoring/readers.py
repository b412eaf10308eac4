"""The forms in which texts stand in files: which one it is, and its utterances one by one.

asr.scoring.transcripts says what each form is.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.corpus.importing import JSON_NAMES, table_rows
from asr.corpus.tables import COLUMNS, table_reader
from asr.errors import ManifestError
from asr.files import read_lines
from asr.foreign_bytes import HALF_CHARACTER, listed, quoted
from asr.scoring.alternatives import Part, open_parts, refuse_alternatives
from asr.scoring.documents import audio_id, is_document, json_or_none, text_of
from asr.scoring.subtitles import are_subtitles, are_tags, subtitle_text
from asr.scoring.timed import is_comment, timed_form
from asr.text.normalize import holds_han

RECOGNISED = ("hypothesis", "hyp", "pred_text", "prediction")
HYPOTHESIS_COLUMNS = COLUMNS | {"text": tuple(dict.fromkeys((*RECOGNISED, *COLUMNS["text"])))}
"""Names of fields in what a system wrote: a table may hold its reference, too."""
REFERENCE_NAMES, HYPOTHESIS_NAMES = JSON_NAMES["text"], (*RECOGNISED, *JSON_NAMES["text"])
"""What the text may be called in JSON lines."""
COMMENTED, COMMENTS = ("stm", "ctm", "trn"), "comments"
"""Forms whose files may have comments, and what is left open where there is nothing else."""
_TEXTGRID = re.compile(r"\ufeff?\s*(?:File type\s*=\s*)?\"ooTextFile")
_OBJECT = re.compile(r"\s*\{\s*(?:[\"}]|$)")
"""How an object of JSON begins; alternatives of a trn do so with a word: `{ a / b }`."""
_PRINTED = re.compile(r"\s*\[?\{'\w+':")
_TRN = re.compile(r"(?P<text>.*?)\s*\((?P<id>[^()\s]+)\)\s*")


@dataclass(frozen=True)
class Line:
    """One utterance of a file."""

    text: str
    """As it was given; for a list of hypotheses the first of them."""
    nbest: tuple[str, ...] = ()
    """All hypotheses, best first, where the file holds lists of them."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """What else is said of it: speaker, audio, duration …"""
    parts: tuple[Part, ...] = ()
    """Of a reference that leaves open what was said (asr.scoring.alternatives); of any other none."""


def form_of(path: Path, lines: Sequence[str], ids: bool | None) -> str | None:
    """One of FORMS; None for lines that may be plain, or may begin with ids; COMMENTS for nothing but comments of an STM, a CTM
    or a trn, where the file's name does not say which.

    `ids`: whether lines that tell nothing else begin with one; None decides by what they hold.
    """
    if path.is_dir():
        return "folder"
    filled = [line for line in lines if line.strip()]
    if not filled:
        return "plain"
    if are_subtitles(filled) or (path.suffix.lower() == ".lrc" and are_tags(filled)):
        return "subtitles"
    if all(map(is_comment, filled)):
        return ending if (ending := path.suffix.lower()[1:]) in COMMENTED else COMMENTS
    if _TEXTGRID.match(filled[0]):
        raise ManifestError(f"{path}: is a TextGrid of Praat, which is not read; give texts, JSON or subtitles")
    if filled[0].lstrip()[0] in "{[" and (form := _json_form(lines, filled)):
        return form
    if _PRINTED.match(filled[0]):
        raise ManifestError(
            f"{path}: holds what Python prints, which is no JSON; write it by json.dumps(…, ensure_ascii=False)"
        )
    if _is_header(path, filled[0]):
        return "table"
    if form := "trn" if _is_trn(path, filled) else timed_form(path, filled):
        return form
    if ids is not None:
        return "kaldi" if ids else "plain"
    words = [line.split(maxsplit=1) for line in filled]
    if not holds_han(" ".join(line[0] for line in words)) and holds_han(" ".join(line[-1] for line in words)):
        return "kaldi"
    return "plain" if all(len(line) == 1 and holds_han(line[0]) for line in words) else None


def _json_form(lines: Sequence[str], filled: Sequence[str]) -> str | None:
    """Whether JSON is one document, a list, or an object a line; None where it is no JSON after all."""
    first = json_or_none(filled[0])
    whole = json_or_none("\n".join(lines)) if first is None or len(filled) == 1 else None
    if is_document(whole):
        return "document"
    if isinstance(whole, list) and all(isinstance(item, dict) for item in whole):
        return "list"
    if isinstance(first, list) and first and isinstance(first[0], dict):  # FunASR's answers, one a line
        return "jsonl"
    return "jsonl" if _OBJECT.match(filled[0]) else None


def _is_header(path: Path, line: str) -> bool:
    try:
        names = [name.strip().lower() for name in next(table_reader(path, [line]), [])]
    except csv.Error:
        return False
    found = len(names) > 1 and any(name in names for name in HYPOTHESIS_COLUMNS["text"])
    if not found and len(names) > 1 and path.suffix.lower() == ".csv":  # counted as lines, ids would be text
        raise ManifestError(
            f"{path}:1: no column for text ({', '.join(HYPOTHESIS_COLUMNS['text'])}); the header has {listed(names)}"
        )
    return found


def _is_trn(path: Path, filled: Sequence[str]) -> bool:
    """Whether each line ends with an id in brackets, or one does and the file is named so.

    A remark, which may stand on many lines, or is in Chinese, is no id.
    """
    rows = [_TRN.fullmatch(line) for line in filled if not is_comment(line)]
    found = [match["id"] for match in rows if match]
    if path.suffix.lower() == ".trn":
        return bool(found)
    return 0 < len(rows) == len(found) < 2 * len(set(found)) and not holds_han("".join(found))


Entries = Iterator[tuple[str, str, Line]]
"""(file:line, id, what it says) of each utterance."""


def _jsonl(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    rows = [(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    read = [(where, json_or_none(line), line) for where, line in rows]
    if all(isinstance(data, list) for _, data, _ in read):
        read = [(where, item, str(item)) for where, items, _ in read for item in items]
    return _records(read, hypothesis)


def _list(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    items = json.loads("\n".join(lines))
    return _records([(f"{path}: item {number}", item, str(item)) for number, item in enumerate(items, 1)], hypothesis)


def _records(rows: Sequence[tuple[str, object, str]], hypothesis: bool) -> Entries:
    """Utterances of JSON objects; those without an id are named by their audio, by its folder too where names recur."""
    names = [audio_id(data) for _, data, _ in rows]
    unique = len(set(names)) == len(names)
    for where, data, line in rows:
        if isinstance(data, dict):
            _rename(data, "id", JSON_NAMES["id"])
            if "id" not in data and (name := audio_id(data, with_folder=not unique)):
                data["id"] = name
        yield where, *_record(data, where, line, hypothesis)


def _record(data: object, where: str, line: str, hypothesis: bool) -> tuple[str, Line]:
    if isinstance(data, dict) and "nbest" not in data:
        _rename(data, "text", HYPOTHESIS_NAMES if hypothesis else REFERENCE_NAMES)
    if not isinstance(data, dict) or "id" not in data or not {"text", "nbest"} & data.keys():
        who = isinstance(data, dict) and {"speaker", "session_id"} <= data.keys()
        hint = "; who said what is scored with --speakers" if who else ""
        raise ManifestError(f"{where}: must be a JSON object with id and text (or nbest), is {line[:60]!r}{hint}")
    id, nbest = data.pop("id"), data.pop("nbest", [])
    if not isinstance(id, str | int) or isinstance(id, bool) or re.search(r"[\t\n\r]", str(id)) or not str(id).strip():
        raise ManifestError(f"{where}: id must be a text without tab or line break, or a whole number, is {quoted(id)}")
    if not isinstance(nbest, list):
        raise ManifestError(f"{where}: nbest must be a list of texts, or of objects with a text, is {quoted(nbest)}")
    texts = [entry.get("text") if isinstance(entry, dict) else entry for entry in nbest]
    text = data.pop("text") if "text" in data else texts[0] if texts else ""
    for value in (text, *texts):
        if not isinstance(value, str):
            raise ManifestError(f"{where}: text must be a text, is {quoted(value)}")
        if HALF_CHARACTER.search(value + str(id)):
            raise ManifestError(f"{where}: holds half a character (a lone surrogate)")
    return str(id), Line(text, tuple(texts), data)


def _rename(data: dict, name: str, names: Sequence[str]) -> None:
    """Gives the first of the fields `names` that is there the name."""
    found = next((other for other in names if other in data), name)
    if found in data:
        data[name] = data.pop(found)


def _document(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    text = text_of(json.loads("\n".join(lines)), path)
    if HALF_CHARACTER.search(text):
        raise ManifestError(f"{path}: holds half a character (a lone surrogate)")
    yield str(path), audio_id({"audio": path.stem}), Line(text)


def _subtitles(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    yield str(path), audio_id({"audio": path.stem}), Line(subtitle_text(lines))


def _table(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    for row in table_rows(path, ("text",), lines, HYPOTHESIS_COLUMNS if hypothesis else COLUMNS):
        fields = {name: value for name, value in row.fields.items() if value}
        id, text = fields.pop("id", ""), fields.pop("text", "")
        if not id:
            raise ManifestError(
                f"{row.line}: id must not be empty; is there a column for it ({', '.join(COLUMNS['id'])})?"
            )
        yield row.line, id, Line(text, fields=fields)


def _trn(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    for number, line in enumerate(lines, 1):
        if line.strip() and not is_comment(line):
            match = _TRN.fullmatch(line)
            if not match:
                raise ManifestError(
                    f"{path}:{number}: must end with its id in brackets, as in `text (id)`, is {line[:60]!r}"
                )
            where, text = f"{path}:{number}", match["text"].strip()
            if hypothesis:
                refuse_alternatives(text, where)
            parts = () if hypothesis else open_parts(text, where)
            speaker = re.split("[-_]", match["id"])[0]
            fields = {"speaker": speaker} if speaker != match["id"] else {}
            yield where, match["id"], Line(text, fields=fields, parts=parts)


def _kaldi(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    for number, line in enumerate(lines, 1):
        if line.strip():
            id, *text = line.split(maxsplit=1)
            yield f"{path}:{number}", id, Line(text[0].strip() if text else "")


def _plain(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    for number, line in enumerate(lines, 1):
        yield f"{path}:{number}", str(number), Line(line.strip())


def _folder(path: Path, lines: Sequence[str], hypothesis: bool) -> Entries:
    for file in visible(path):
        if file.is_file():
            inside = read_lines(file)
            form = recording_form(file, inside)
            if form is None:
                raise ManifestError(
                    f"{file}: holds more than the text of one recording, unlike a file of {path} should"
                )
            texts = [line.text for _, _, line in READERS[form](file, inside, hypothesis)]
            yield str(file), audio_id({"audio": file.stem}), Line(" ".join(texts).strip())


def visible(folder: Path) -> Iterator[Path]:
    """What lies in a folder and is not hidden, in order of names."""
    return iter(sorted(path for path in folder.iterdir() if not path.name.startswith(".")))


def recording_form(path: Path, lines: Sequence[str]) -> str | None:
    """The form of what may be the text of one recording; None for what is of several utterances."""
    form = form_of(path, lines, None) or "plain"
    alone = form in ("plain", "document", "subtitles") or (
        form == "jsonl" and sum(bool(line.strip()) for line in lines) == 1
    )
    return form if alone else None


READERS: dict[str, Callable[[Path, Sequence[str], bool], Entries]] = {
    "jsonl": _jsonl,
    "list": _list,
    "document": _document,
    "subtitles": _subtitles,
    "folder": _folder,
    "table": _table,
    "trn": _trn,
    "kaldi": _kaldi,
    "plain": _plain,
}
"""Form → its reader, of path, lines, and whether the file is a system's."""
