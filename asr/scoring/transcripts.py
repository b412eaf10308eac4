"""Transcripts to be scored, in whatever form they stand in a file: told apart by what the first lines hold.

- JSON lines: objects with `id` and `text` (manifests, `asr evaluate`'s output; WeNet's `key` and `txt`, FunASR's `target`), or
  `id` and `nbest`;
- a table: tab-separated (or a .csv) with a header that names a column for the text, and one for the id or the audio;
- Kaldi text: `id text` on each line;
- plain lines: one utterance a line, in the same order in every file.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from asr.corpus.importing import COLUMNS, JSON_NAMES, table_reader, table_rows
from asr.errors import ManifestError
from asr.files import read_lines
from asr.foreign_bytes import quoted, reading
from asr.text.normalize import holds_han

RECOGNISED = ("hypothesis", "hyp", "pred_text")
HYPOTHESIS_COLUMNS = COLUMNS | {"text": (*RECOGNISED, *COLUMNS["text"])}
"""Names of fields in what a system wrote: a table may hold its reference, too."""
REFERENCE_NAMES, HYPOTHESIS_NAMES = JSON_NAMES["text"], (*RECOGNISED, *JSON_NAMES["text"])
"""What the text may be called in JSON lines."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Line:
    """One utterance of a file."""

    text: str
    """As it was given; for a list of hypotheses the first of them."""
    nbest: tuple[str, ...] = ()
    """All hypotheses, best first, where the file holds lists of them."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """What else is said of it: speaker, audio, duration …"""


@dataclass(frozen=True)
class Transcripts:
    """The utterances of a file."""

    path: Path
    form: str
    """One of FORMS."""
    lines: dict[str, Line]
    """By id; by the number of the line for plain lines."""


FORMS = {
    "jsonl": "JSON lines",
    "table": "a table",
    "kaldi": "Kaldi text (`id text`)",
    "plain": "plain lines",
}
KEYED = ("jsonl", "table", "kaldi")
"""Forms in which each utterance has an id."""


def read_together(
    paths: Sequence[str | Path], ids: bool | None = None, say: Callable[[str], None] = lambda line: None
) -> list[Transcripts]:
    """Files that are to be matched with each other, the reference first; `say` is told what each was taken for.

    `ids`: whether lines that are neither JSON nor a table begin with an id; None decides by what they hold. Plain lines
    get the ids of the first file in its order. Raises ManifestError where a file is empty or wrong, where plain lines
    are not as many as utterances, or where nothing tells whether lines begin with an id.
    """
    files = [(Path(path), _existing_lines(path)) for path in paths]
    with reading(" and ".join(map(str, paths)), ManifestError, "cannot be read"):
        forms = _forms(files, ids)
    read = [_read(path, lines, form, n > 0) for n, ((path, lines), form) in enumerate(zip(files, forms, strict=True))]
    for file in read:
        say(f"{file.path}: {FORMS[file.form]}, {len(file.lines):,} utterances")
    return [read[0], *(_in_order_of(read[0], other) for other in read[1:])]


def _existing_lines(path: str | Path) -> list[str]:
    lines = read_lines(path)
    if len(lines) < 2 and not "".join(lines).strip():
        raise ManifestError(f"{path}: is empty")
    return lines


def _read(path: Path, lines: list[str], form: str, hypothesis: bool = False) -> Transcripts:
    found: dict[str, Line] = {}
    with reading(path, ManifestError, "cannot be read"):
        for where, id, line in _READERS[form](path, lines, hypothesis):
            if id in found:
                hint = "; if lines have no id, say --no-ids" if form == "kaldi" else ""
                raise ManifestError(f"{where}: id must be unique, {quoted(id)} occurs twice{hint}")
            found[id] = line
    return Transcripts(path, form, found)


def _forms(files: Sequence[tuple[Path, list[str]]], ids: bool | None) -> list[str]:
    """A form for each file. Where a file alone leaves it open, the others decide."""
    forms = [_form(path, lines, ids) for path, lines in files]
    if None not in forms:
        return forms
    firsts = [_first_words(lines) for _, lines in files]
    known = [
        {id for _, id, _ in _READERS[form](path, lines, False)} if form in KEYED else set()
        for form, (path, lines) in zip(forms, files, strict=True)
    ]
    settled = []
    for n, (form, (path, _)) in enumerate(zip(forms, files, strict=True)):
        if form is None:
            others = [m for m in range(len(files)) if m != n]
            if any(_mostly(firsts[n], known[m]) for m in others):
                form = "kaldi"
            elif any(forms[m] in KEYED + ("plain",) for m in others) or not others:
                form = "plain"
            elif _look_like_ids(firsts[n]) and all(set(firsts[n]) == set(firsts[m]) for m in others):
                form = "kaldi"
            elif any(set(firsts[n]) == set(firsts[m]) and len(set(firsts[n])) == len(firsts[n]) for m in others):
                raise ManifestError(f"{path}: nothing tells whether its lines begin with an id; say --ids or --no-ids")
            else:
                form = "plain"
        settled.append(form)
    return settled


def _form(path: Path, lines: list[str], ids: bool | None) -> str | None:
    """One of FORMS; None for lines that may be plain, or may begin with ids."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return "plain"
    if filled[0].lstrip().startswith("{"):
        return "jsonl"
    if _is_header(path, filled[0]):
        return "table"
    if ids is not None:
        return "kaldi" if ids else "plain"
    words = [line.split(maxsplit=1) for line in filled]
    if not holds_han(" ".join(line[0] for line in words)) and holds_han(" ".join(line[-1] for line in words)):
        return "kaldi"
    return "plain" if all(len(line) == 1 and holds_han(line[0]) for line in words) else None


def _is_header(path: Path, line: str) -> bool:
    try:
        names = [name.strip().lower() for name in next(table_reader(path, [line]), [])]
    except csv.Error:
        return False
    return len(names) > 1 and any(name in names for name in COLUMNS["text"])


def _first_words(lines: list[str]) -> list[str]:
    return [line.split(maxsplit=1)[0] for line in lines if line.strip()]


def _mostly(words: list[str], known: set[str]) -> bool:
    return 2 * sum(word in known for word in words) > len(words)


def _look_like_ids(words: list[str]) -> bool:
    """Ids have digits in them, and each occurs once."""
    return len(set(words)) == len(words) and 2 * sum(bool(re.search(r"\d", word)) for word in words) >= len(words)


def _in_order_of(reference: Transcripts, other: Transcripts) -> Transcripts:
    if "plain" not in (reference.form, other.form):
        return other
    if len(reference.lines) != len(other.lines):
        raise ManifestError(
            f"{other.path}:{len(other.lines)}: {FORMS[other.form]} with {len(other.lines):,} utterances, but"
            f" {reference.path} has {len(reference.lines):,}; without ids there must be a line for each, in the same order"
        )
    return replace(other, lines=dict(zip(reference.lines, other.lines.values(), strict=True)))


def _jsonl(path: Path, lines: list[str], hypothesis: bool) -> Iterator[tuple[str, str, Line]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path}:{number}", *_json_line(line, f"{path}:{number}", hypothesis)


def _json_line(line: str, where: str, hypothesis: bool) -> tuple[str, Line]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):  # the latter for what is nested too deeply
        data = None
    if isinstance(data, dict):
        _rename(data, "id", JSON_NAMES["id"])
        if "nbest" not in data:
            _rename(data, "text", HYPOTHESIS_NAMES if hypothesis else REFERENCE_NAMES)
    if not isinstance(data, dict) or "id" not in data or not {"text", "nbest"} & data.keys():
        raise ManifestError(f"{where}: must be a JSON object with id and text (or nbest), is {line[:60]!r}")
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
        if _SURROGATE.search(value + str(id)):
            raise ManifestError(f"{where}: holds half a character (a lone surrogate)")
    return str(id), Line(text, tuple(texts), data)


def _rename(data: dict, name: str, names: Sequence[str]) -> None:
    """Gives the first of the fields `names` that is there the name."""
    found = next((other for other in names if other in data), name)
    if found in data:
        data[name] = data.pop(found)


def _table(path: Path, lines: list[str], hypothesis: bool) -> Iterator[tuple[str, str, Line]]:
    for row in table_rows(path, ("text",), lines, HYPOTHESIS_COLUMNS if hypothesis else COLUMNS):
        fields = {name: value for name, value in row.fields.items() if value}
        id, text = fields.pop("id", ""), fields.pop("text", "")
        if not id:
            raise ManifestError(
                f"{row.line}: id must not be empty; is there a column for it ({', '.join(COLUMNS['id'])})?"
            )
        yield row.line, id, Line(text, fields=fields)


def _kaldi(path: Path, lines: list[str], hypothesis: bool) -> Iterator[tuple[str, str, Line]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            id, *text = line.split(maxsplit=1)
            yield f"{path}:{number}", id, Line(text[0].strip() if text else "")


def _plain(path: Path, lines: list[str], hypothesis: bool) -> Iterator[tuple[str, str, Line]]:
    for number, line in enumerate(lines, 1):
        yield f"{path}:{number}", str(number), Line(line.strip())


_READERS = {"jsonl": _jsonl, "table": _table, "kaldi": _kaldi, "plain": _plain}
