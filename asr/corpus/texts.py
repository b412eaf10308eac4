"""Sentences out of whatever holds them."""

from collections.abc import Iterator
from pathlib import Path

from asr.corpus.manifest import read_manifest
from asr.errors import ManifestError


def texts_of(path: str | Path) -> Iterator[str]:
    """The texts of a manifest (.jsonl), or the lines of a plain text file."""
    path = Path(path)
    if path.suffix == ".jsonl":
        yield from (utterance.text for utterance in read_manifest(path))
        return
    try:
        yield from path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
