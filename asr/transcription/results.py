"""Where transcripts go, and what those that are there already were made with."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr.errors import AsrError
from asr.files import content_state, naming, write_file
from asr.foreign_bytes import reading
from asr.outputs.writers import WRITERS
from asr.transcription.output import Output

MADE_WITH = ".asr-made.jsonl"
"""Name of the list in a folder of transcripts. Lines are added to its end only, so that several processes may."""
RECORDING = "recording"
"""The name under which the state of the recording itself stands among the settings."""
KNOWN = ("content", RECORDING, "key")
"""What is known of a file: the digest of its content, the state of its recording, the key of its settings."""
TEXTS = 2**26
"""Bytes that lists of words and settings may have and are looked at as a whole; of weights parts are enough."""
OF_THE_MACHINE = ("batch_seconds", "batch_recordings")
"""Decoding settings that change time and memory, not texts."""
SHOWN = 4
"""Settings that a message names at most."""
Settings = Mapping[str, Any]
"""Plain values by name: `decode.beam` → 4."""


@dataclass(frozen=True)
class Results:
    """Where transcripts go: to stdout, to a folder with a file for each, or, of one recording, to a file."""

    outputs: Sequence[Output]
    """In which forms."""
    folder: Path | None = None
    """Files in it are named after the recordings."""
    file: Path | None = None
    """The one file."""
    force: bool = False
    """Whether what is there is overwritten."""


def form_of(output: Output) -> dict[str, Any]:
    """What the text of a file depends on besides what was recognised."""
    style = {name: getattr(output.style, name) for name in WRITERS[output.format].style}
    return style | asdict(output.finishing)


def of_the_text(decode: Settings) -> dict[str, Any]:
    """Of decoding settings those that texts depend on."""
    return {name: value for name, value in decode.items() if name not in OF_THE_MACHINE}


def named(section: str, values: Settings) -> dict[str, Any]:
    """The values as those of a section."""
    return {f"{section}.{name}": value for name, value in values.items()}


def states(paths: Iterable[Path], whole: int = 0) -> str:
    """A digest of the contents of files; of those of at most so many bytes the `whole` of them is looked at."""
    return hashlib.sha256("".join(content_state(path, whole) for path in paths).encode()).hexdigest()[:8]


def of_hotwords(hotwords: Any) -> str:
    """What there is to know of hot words: the state of a file of them."""
    if isinstance(hotwords, str | os.PathLike):
        return states([Path(hotwords)], TEXTS)
    return str(hotwords) if hotwords else "none"


class MadeWith:
    """With which settings, and from which recording, each file of a folder was made.

    That counts as long as the file holds what was written then: one that somebody has corrected is theirs.
    """

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / MADE_WITH
        self.settings: dict[str, Settings] = {}
        """Key of settings → settings."""
        self.files: dict[str, list[dict[str, str]]] = {}
        """File → what is known of it, in the order in which it was written."""
        self.added: set[str] = set()
        """Keys of settings that this process has put on the list."""
        for line in self.path.read_bytes().splitlines() if self.path.is_file() else ():
            self._take(line)

    def _take(self, line: bytes) -> None:
        # half a line is of a process that was killed: its file is unknown
        with suppress(AsrError), reading(self.path, AsrError):
            entry = json.loads(line)  # names of files that are no UTF-8 are halves of characters here
            if "with" in entry:
                self.settings[entry["key"]] = dict(entry["with"])
            else:
                self.files.setdefault(entry["file"], []).append({name: str(entry[name]) for name in KNOWN})

    def of(self, target: Path, wanted: Settings) -> Settings | None:
        """The settings that a file was made with, such as do not differ where there are such; None where that is not known."""
        content = _digest(target.read_bytes())
        found = [
            {RECORDING: entry[RECORDING]} | self.settings[entry["key"]]
            for entry in self.files.get(self._name(target), [])
            if entry["content"] == content and entry["key"] in self.settings
        ]
        return next((made for made in found if not differences(made, wanted)), found[-1] if found else None)

    def write(self, target: Path, text: str, settings: Settings) -> None:
        """Writes a file. It is on the list before it is there, so that a kill leaves none that is not."""
        data = text.encode()
        shared = {name: value for name, value in settings.items() if name != RECORDING}
        key = _digest(json.dumps(shared, sort_keys=True).encode())
        content = {"content": _digest(data), RECORDING: settings[RECORDING], "key": key}
        lines = [
            *([{"key": key, "with": shared}] if key not in self.added else []),
            {"file": self._name(target)} | content,
        ]
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        with naming(self.path), os.fdopen(handle, "ab", buffering=0) as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        self.added.add(key)
        write_file(target, data)

    def _name(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix()


def differences(made: Settings, wanted: Settings) -> str:
    """The settings that differ, in words: `decode.beam 4, now 2; script none, now simplified`.

    What only one of two versions of this program knows is left out.
    """
    made, wanted = _plain(made), _plain(wanted)
    names = [name for name in wanted if name in made and made[name] != wanted[name]]
    told = [
        "another recording" if name == RECORDING else f"{name} {_shown(made[name])}, now {_shown(wanted[name])}"
        for name in names[:SHOWN]
    ]
    return "; ".join(told) + (" …" if len(names) > SHOWN else "")


def _shown(value: Any) -> str:
    return "none" if value in (None, "") else str(value)


def _plain(settings: Settings) -> Settings:
    """As they are read from JSON: lists in the place of tuples."""
    return json.loads(json.dumps(settings))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
