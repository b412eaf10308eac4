"""Recordings as callers have them: a path, the bytes of a file, an open file, or samples with their rate."""

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asr.audio.foreign import NOT_AUDIO
from asr.errors import AudioError
from asr.files import Readable, on_disk

if TYPE_CHECKING:
    from torch import Tensor

Bytes = bytes | bytearray | memoryview
Audio = str | os.PathLike[str] | Bytes | Readable | tuple["npt.NDArray[Any] | Tensor", float]
"""A path; all bytes of a file; a file opened with "rb", or whatever else has a `read` that gives bytes, read from where it is;
or samples with their rate in Hz: an array or a tensor (S,), (1, S) or (S, channels), of floats in [-1, 1] or of whole numbers of
8, 16 or 32 bits with a sign."""
BARE = "; if they are bare samples of 16 bits: (np.frombuffer(data, np.int16), sample rate)"
"""What to do with bytes that are no file."""


def check_kind(audio: Audio) -> None:
    """Raises AudioError for what is no recording, and says what to give in its place."""
    if isinstance(audio, tuple) and len(audio) == 2:
        if isinstance(audio[0], Real) and hasattr(audio[1], "shape"):
            raise AudioError("audio is (sample rate, samples), must be (samples, sample rate)")
        if isinstance(audio[0], Bytes):
            raise AudioError("its samples are bytes: np.frombuffer(data, np.int16) makes samples of 16 bits of them")
    elif isinstance(audio, io.TextIOBase):
        raise AudioError(f'{name_of(audio)}: is open as a text; open it with "rb"')
    elif not isinstance(audio, str | os.PathLike | Bytes) and not hasattr(audio, "read"):
        kinds = "a path, bytes of a file, an open file, or a pair (samples, sample rate)"
        hint = ""
        if hasattr(audio, "shape"):
            hint = ": which rate do its samples have? (samples, 16000)"
        elif isinstance(audio, list):
            hint = "; transcribe_all takes several recordings"
        raise AudioError(f"audio must be {kinds}, is {type(audio).__name__}{hint}")


def name_of(audio: Audio) -> str:
    """What a recording is called in messages and transcripts: by its path, if it has one."""
    if isinstance(audio, tuple):
        return "array"
    if isinstance(audio, str | os.PathLike):
        return str(audio)
    named = getattr(audio, "name", "")
    return named if named and isinstance(named, str) else type(audio).__name__


@contextmanager
def readable(audio: Audio, name: str) -> Iterator[str | os.PathLike[str] | tuple[np.ndarray, float]]:
    """A recording as a path, which may be there within the block only, or as an array (S,) or (S, channels) with its rate.

    An AudioError that is raised within the block about the path calls it by `name`.
    """
    check_kind(audio)
    if isinstance(audio, tuple):
        yield _array(audio[0]), audio[1]
        return
    with ExitStack() as stack:
        if isinstance(audio, str | os.PathLike):
            path: str | os.PathLike[str] = audio
        else:
            path = stack.enter_context(_copied(audio, name))
        try:
            yield path
        except AudioError as error:
            if str(path) == name:
                raise
            hint = BARE if NOT_AUDIO in str(error) and isinstance(audio, Bytes) else ""
            raise AudioError(str(error).replace(str(path), name) + hint) from error


@contextmanager
def _copied(audio: Bytes | Readable, name: str) -> Iterator[Path]:
    source = io.BytesIO(audio) if isinstance(audio, Bytes) else audio
    with ExitStack() as stack:
        try:
            path = stack.enter_context(on_disk(source))
        except Exception as error:  # whatever the `read` of somebody's class raises
            raise AudioError(f"{name}: cannot be read ({str(error) or type(error).__name__})") from error
        if not isinstance(audio, Bytes) and not os.path.getsize(path) and _place(audio):
            raise AudioError(f"{name}: has been read to its end already; seek(0) goes back to its beginning")
        yield path


def _place(file: Any) -> int:
    """How much of an open file has been read, as far as it says that."""
    try:
        return int(file.tell())
    except Exception:  # a pipe, or somebody's class with nothing but `read`
        return 0


def _array(samples: "npt.NDArray[Any] | Tensor") -> np.ndarray:
    """A tensor of any device and precision as an array; an array as it is, a single row of it as (S,)."""
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu()
        samples = (samples.float() if samples.is_floating_point() else samples).numpy()
    found = np.asarray(samples)
    return found[0] if found.ndim == 2 and found.shape[0] == 1 else found
