"""Transcripts to be scored, in whatever form they stand in a file: told apart by what the first lines hold.

- JSON lines: objects with `id` and `text` (manifests, `asr evaluate`'s output), or `id` and `nbest`;
- a table: tab-separated with a header that names a column for the text, and one for the id or the audio;
- Kaldi text: `id text` on each line;
- plain lines: one utterance a line, in the same order in every file.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from asr.corpus.importing import COLUMNS, table_rows
from asr.errors import ManifestError
from asr.files import read_lines
from asr.text.normalize import holds_han

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Line:
    """One utterance of a file."""

    text: str
    """As it was given; for a list of hypotheses the first of them."""
    nbest: tuple[str, ...] = ()
    """All hypotheses, best first, where the file holds more than one."""
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
    get the ids of the first file in its order. Raises ManifestError where a file is empty or wrong, or where plain lines
    are not as many as utterances.
    """
    files = [Path(path) for path in paths]
    forms = [_form(path, ids) for path in files]
    if None in forms:
        known = {
            id for path, form in zip(files, forms, strict=True) if form in KEYED for _, id, _ in _READERS[form](path)
        }
        forms = [form or _kaldi_or_plain(path, known) for path, form in zip(files, forms, strict=True)]
    read = [read_transcripts(path, form) for path, form in zip(files, forms, strict=True)]
    for file in read:
        say(f"{file.path}: {FORMS[file.form]}, {len(file.lines):,} utterances")
    return [read[0], *(_in_order_of(read[0], other) for other in read[1:])]


def read_transcripts(path: str | Path, form: str | None = None) -> Transcripts:
    """The utterances of one file, in the form that is given or found."""
    path = Path(path)
    if form is None:
        form = _form(path, None) or "plain"
    lines: dict[str, Line] = {}
    for where, id, line in _READERS[form](path):
        if id in lines:
            raise ManifestError(f"{where}: id must be unique, {id!r} occurs twice{_HINTS.get(form, '')}")
        lines[id] = line
    return Transcripts(path, form, lines)


_HINTS = {"kaldi": "; if lines have no id, say --no-ids"}


def _form(path: Path, ids: bool | None) -> str | None:
    """One of FORMS; None for lines of which one begins with a Chinese word: plain, or with ids in Chinese."""
    lines = [line for line in read_lines(path) if line.strip()]
    if not lines:
        raise ManifestError(f"{path}: is empty")
    if lines[0].lstrip().startswith("{"):
        return "jsonl"
    header = lines[0].split("\t")
    if len(header) > 1 and any(name in header for name in COLUMNS["text"]):
        return "table"
    if ids is not None:
        return "kaldi" if ids else "plain"
    return None if any(holds_han(line.split(maxsplit=1)[0]) for line in lines) else "kaldi"


def _kaldi_or_plain(path: Path, known: set[str]) -> str:
    firsts = [line.split(maxsplit=1)[0] for line in read_lines(path) if line.strip()]
    return "kaldi" if sum(first in known for first in firsts) * 2 > len(firsts) else "plain"


def _in_order_of(reference: Transcripts, other: Transcripts) -> Transcripts:
    if "plain" not in (reference.form, other.form):
        return other
    if len(reference.lines) != len(other.lines):
        raise ManifestError(
            f"{other.path}:{len(other.lines)}: {FORMS[other.form]} with {len(other.lines):,} utterances, but"
            f" {reference.path} has {len(reference.lines):,}; without ids there must be a line for each, in the same order"
        )
    return replace(other, lines=dict(zip(reference.lines, other.lines.values(), strict=True)))


def _jsonl(path: Path) -> Iterator[tuple[str, str, Line]]:
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield f"{path}:{number}", *_json_line(line, f"{path}:{number}")


def _json_line(line: str, where: str) -> tuple[str, Line]:
    try:
        data = json.loads(line)
        id = str(data.pop("id"))
        nbest = tuple(h["text"] if isinstance(h, dict) else h for h in data.pop("nbest", ()))
        text = data.pop("text") if "text" in data or not nbest else nbest[0]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"{where}: must be a JSON object with id and text (or nbest), is {line[:60]!r} ({error!r})"
        ) from None
    for value in (text, *nbest):
        if not isinstance(value, str):
            raise ManifestError(f"{where}: text must be a text, is {value!r}")
        if _SURROGATE.search(value + id):
            raise ManifestError(f"{where}: holds half a character (a lone surrogate)")
    if re.search(r"[\t\n\r]", id):
        raise ManifestError(f"{where}: id must hold no tab or line break, is {id!r}")
    return id, Line(text, nbest, data)


def _table(path: Path) -> Iterator[tuple[str, str, Line]]:
    for row in table_rows(path, required=("text",)):
        fields = {name: value for name, value in row.fields.items() if value}
        id, text = fields.pop("id", ""), fields.pop("text", "")
        if not id:
            raise ManifestError(
                f"{row.line}: id must not be empty; is there a column for it ({', '.join(COLUMNS['id'])})?"
            )
        yield row.line, id, Line(text, fields=fields)


def _kaldi(path: Path) -> Iterator[tuple[str, str, Line]]:
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            id, *text = line.split(maxsplit=1)
            yield f"{path}:{number}", id, Line(text[0].strip() if text else "")


def _plain(path: Path) -> Iterator[tuple[str, str, Line]]:
    for number, line in enumerate(read_lines(path), 1):
        yield f"{path}:{number}", str(number), Line(line.strip())


_READERS = {"jsonl": _jsonl, "table": _table, "kaldi": _kaldi, "plain": _plain}
