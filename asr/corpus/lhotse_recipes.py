"""Public corpora through the recipes of lhotse, which know how each of them is laid out.

lhotse is optional (the extra `corpora`); nothing else here needs it.
"""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asr.corpus.manifest import Utterance
from asr.errors import AsrError, ManifestError
from asr.extras import brings

MANDARIN = ("Chinese", "", None)
"""What lhotse calls the language; anything else is a dialect, and is kept."""


def read_with_lhotse(
    recipe: str, function: str, folder: Path, **options: Any
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Utterances by lhotse's name of the part, and what it warned of. Raises ManifestError where its recipe fails."""
    prepare = _recipe(recipe, function)
    from lhotse.audio.backend import audio_backend

    # soundfile alone: where it fails, lhotse would try torchaudio, and its message would name no file
    with audio_backend("LibsndfileBackend"), _warnings() as warnings:
        try:
            manifests = prepare(folder, **options)
        except Exception as error:  # whatever a recipe meets: it checks little, and says less
            detail = f"{type(error).__name__}: {error}"
            raise ManifestError(
                f"{folder}: lhotse's recipe for {recipe} fails here ({detail}); a recording that it names is damaged or"
                " missing: unpack it again"
            ) from error
    return {part: list(_utterances(sets)) for part, sets in manifests.items()}, warnings


def download_with_lhotse(recipe: str, function: str, folder: Path, mirror: str = "") -> None:
    """Fetches and unpacks a corpus; what is there already is not fetched again."""
    download = _recipe(recipe, function)
    with _warnings():
        try:
            download(folder, **({"base_url": mirror.rstrip("/")} if mirror else {}))
        except Exception as error:
            raise AsrError(
                f"{folder}: the download failed ({type(error).__name__}: {error}); the same command goes on with it,"
                " --mirror takes another server"
            ) from error


def _recipe(module: str, function: str):
    try:
        return getattr(importlib.import_module(f"lhotse.recipes.{module}"), function)
    except ImportError as error:
        raise AsrError(
            f"public corpora are read by lhotse, which is not there ({error}): {brings('corpora')}"
        ) from None


def _utterances(sets: dict[str, Any]) -> Iterator[Utterance]:
    """lhotse's recordings and supervisions as ours. Of several channels the first is taken: an average would smear them."""
    from lhotse import SupervisionSet

    recordings, supervisions = sets["recordings"], sets["supervisions"]
    if isinstance(recordings, SupervisionSet):  # its recipe for AISHELL-3 returns them the wrong way round
        recordings, supervisions = supervisions, recordings
    by_id = {recording.id: recording for recording in recordings}
    for said in supervisions:
        recording = by_id[said.recording_id]
        channels = said.channel if isinstance(said.channel, list) else [said.channel]
        extra = {"gender": said.gender} if said.gender else {}
        if said.language not in MANDARIN:
            extra["dialect"] = said.language
        yield Utterance(
            said.id,
            Path(recording.sources[0].source),
            said.duration,
            said.text or "",
            said.start,
            str(said.speaker or ""),
            channel=min(channels) if recording.num_channels > 1 else None,
            extra=extra,
        )


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collects what lhotse logs: a line for each file without a transcript is too much for a terminal."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                lines.append(record.getMessage())

    root, handler = logging.getLogger(), Collector()
    root.addHandler(handler)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
