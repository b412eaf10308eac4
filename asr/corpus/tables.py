"""Tables with a header: what may stand in their columns, and what parts these."""

import csv
from collections.abc import Sequence
from pathlib import Path

COLUMNS = {
    "id": ("id", "utterance", "utt", "utt_id", "key"),
    "audio": ("audio", "path", "wav", "file", "filename"),
    "text": ("text", "sentence", "transcript", "transcription", "reference", "ref", "wrd", "hypothesis", "hyp"),
    "duration": ("duration", "seconds"),
    "start": ("start", "begin", "start_time"),
    "end": ("end", "end_time"),
    "speaker": ("speaker", "client_id", "spk", "spk_id", "speaker_id"),
    "source": ("source",),
    "channel": ("channel",),
}
"""Field → names of the column it may stand in, in any case, tried in this order (Common Voice's and SpeechBrain's among them)."""

_KNOWN = {name for names in COLUMNS.values() for name in names}
_DELIMITERS = "\t,;"


def table_reader(path: Path, lines: Sequence[str]):
    """A reader of the lines of a table; fields may stand in quotes unless tabs part them."""
    ended = (line + "\n" for line in lines)
    mark = delimiter(path, lines[0] if lines else "")
    if mark == "\t":
        return csv.reader(ended, delimiter=mark, quoting=csv.QUOTE_NONE)
    return csv.reader(ended, delimiter=mark, strict=True, skipinitialspace=True)


def delimiter(path: Path, header: str) -> str:
    """What parts a header into most names that are known: a tab, a comma or a semicolon; of equals, what the file's name says.

    A single name may be a word of a text, unless the file is named a table.
    """
    suffix = path.suffix.lower()
    first = "," if suffix == ".csv" else "\t"

    def known(mark: str) -> int:
        return sum(name.strip(' "').lower() in _KNOWN for name in header.split(mark))

    best = max(first + _DELIMITERS.replace(first, ""), key=known)
    return best if known(best) > (suffix not in (".csv", ".tsv")) else first
