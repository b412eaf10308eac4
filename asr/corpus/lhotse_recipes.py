"""Public corpora through the recipes of lhotse, which know how each of them is laid out.

lhotse is optional (the extra `corpora`); nothing else here needs it.
"""

import importlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

from asr.audio.reading import SAMPLE_RATE, audio_duration
from asr.corpus.manifest import Utterance
from asr.errors import AsrError, AudioError, ManifestError
from asr.extras import brings

MANDARIN = ("Chinese", "", None)
"""What lhotse calls the language; anything else is a dialect, and is kept."""
LONG, CHANNELS = 1e6, 64
"""Seconds and channels, as recipes are told, of a recording that lhotse cannot read: what is said in a meeting lies within."""


def read_with_lhotse(
    recipe: str, function: str, folder: Path, **options: Any
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Utterances by lhotse's name of the part, and what is wrong: first recordings that are damaged or missing, which are left
    out, then what lhotse warned of. Raises ManifestError where its recipe fails."""
    prepare = _recipe(recipe, function)
    damaged: dict[str, str] = {}
    with _looking_into(damaged), _warnings() as warnings:
        try:
            manifests = prepare(folder, **options)
        except Exception as error:  # whatever a recipe meets: it checks little, and says less
            detail = " ".join(filter(None, (type(error).__name__, str(error))))
            raise ManifestError(
                f"{folder}: lhotse's recipe for {recipe} fails here ({detail}{_while_reading(error)}); {_advice(error)}"
            ) from error
    parts = {part: list(_utterances(sets, damaged)) for part, sets in manifests.items()}
    return parts, [*filter(None, damaged.values()), *warnings]


def _while_reading(error: Exception) -> str:
    """The text that was open where it turned out to be none, or no JSON, which such an error does not name."""
    if not isinstance(error, ValueError):
        return ""
    for frame in [frame for frame, _ in walk_tb(error.__traceback__)][::-1]:
        files = [value for value in frame.f_locals.values() if isinstance(value, io.TextIOWrapper)]
        if files:
            return ", reading " + ", ".join(str(file.name) for file in files)
    return ""


def _advice(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "that is not UTF-8; if it is GBK, `iconv -f GB18030 -t UTF-8` converts it"
    if "._" in str(error):
        return "files whose names begin with ._ were left by macOS and are none of the corpus: delete them"
    return "something in it is missing, or is not as it was published: unpack it again"


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


@contextmanager
def _looking_into(damaged: dict[str, str]) -> Iterator[None]:
    """A block in which lhotse asks us how long recordings are. One that cannot be read goes into `damaged`, with what is to be
    said of it, and the recipe goes on: by itself it would stop at the first of a hundred thousand.
    """
    from lhotse.audio import backend

    class Lenient(backend.LibsndfileBackend):
        def info(self, path_or_fd, force_opus_sampling_rate=None):
            try:
                info = super().info(path_or_fd, force_opus_sampling_rate)
                if info.frames:
                    return info
            except Exception:  # libsndfile's, or lhotse's own
                pass
            try:
                seconds = audio_duration(path_or_fd)  # with FFmpeg's libraries, too
                if not round(seconds * SAMPLE_RATE):  # lhotse takes no such recording
                    raise AudioError(f"{path_or_fd}: holds no audio")
            except AudioError as error:
                damaged[str(path_or_fd)] = "" if Path(path_or_fd).name.startswith("._") else str(error)
                seconds = LONG
            return backend.LibsndfileCompatibleAudioInfo(CHANNELS, round(seconds * SAMPLE_RATE), SAMPLE_RATE, seconds)

    previous = backend.get_current_audio_backend()
    backend.set_current_audio_backend(Lenient())
    try:
        yield
    finally:  # which lhotse's own block for this does not do where something is raised
        backend.set_current_audio_backend(previous)


def _utterances(sets: dict[str, Any], damaged: dict[str, str]) -> Iterator[Utterance]:
    """lhotse's recordings and supervisions as ours, without those of `damaged` recordings, to which what is not there is added.

    Of several channels the first is taken: an average would smear them.
    """
    from lhotse import SupervisionSet

    recordings, supervisions = sets["recordings"], sets["supervisions"]
    if isinstance(recordings, SupervisionSet):  # its recipe for AISHELL-3 returns them the wrong way round
        recordings, supervisions = supervisions, recordings
    by_id, looked_for = {recording.id: recording for recording in recordings}, set()
    for said in supervisions:
        recording = by_id[said.recording_id]
        source = recording.sources[0].source
        if source not in looked_for:
            looked_for.add(source)
            if source not in damaged and not Path(source).is_file():
                damaged[source] = f"{source}: no such file"
        if source in damaged:
            continue
        channels = said.channel if isinstance(said.channel, list) else [said.channel]
        extra = {"gender": said.gender} if said.gender else {}
        if said.language not in MANDARIN:
            extra["dialect"] = said.language
        yield Utterance(
            said.id,
            Path(source),
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
