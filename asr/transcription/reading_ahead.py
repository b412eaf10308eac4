"""Recordings that processes of their own read and find speech in, while this one decodes: a GPU need not wait for either."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from queue import Queue
from typing import Any

import torch

from asr.audio.voice_activity import load_voice_activity
from asr.errors import AsrError
from asr.stopping import leave_to_parent
from asr.transcription.pieces import Piece
from asr.transcription.recordings import RecordingInProgress

PIECES_AHEAD = 128
"""Pieces of speech that each process finds before they are asked for, 12 s each at most: up to 100 MB."""
OURS = ("audio", "network", "elsewhere", "segments")
"""Of a recording, what does not come from the process that reads it."""


class ReadingAhead:
    """Some processes. To be used with `with`, which ends them."""

    def __init__(self, workers: int, ahead: int):
        """ahead: how many recordings are handed out before they are asked for."""
        self.ahead = max(workers, ahead)
        self.lanes = [_Lane(number) for number in range(workers)]

    def __enter__(self) -> "ReadingAhead":
        return self

    def __exit__(self, *_) -> None:
        for lane in self.lanes:
            lane.process.kill()
            lane.process.join()

    def recordings(self, opened: Iterable[RecordingInProgress]) -> Iterator[RecordingInProgress]:
        """The same recordings, in order; their pieces, which must be asked for in that order, come from the processes."""
        waiting: deque[RecordingInProgress] = deque()
        for number, recording in enumerate(opened):
            self.lanes[number % len(self.lanes)].take(recording)
            waiting.append(recording)
            if len(waiting) > self.ahead:
                yield waiting.popleft()
        yield from waiting


class _Lane:
    """One process, its recordings one after the other, and a thread that takes in what it finds."""

    def __init__(self, number: int):
        context = multiprocessing.get_context("spawn")  # a forked one could not use what PyTorch has begun
        self.tasks, self.found = context.Queue(), Queue(PIECES_AHEAD)
        self.tasks.cancel_join_thread()
        receiving, sending = context.Pipe(duplex=False)
        self.process = context.Process(target=_read, args=(self.tasks, sending), name=f"reader {number}", daemon=True)
        self.process.start()
        sending.close()
        threading.Thread(target=_take_in, args=(receiving, self.found), daemon=True).start()

    def take(self, recording: RecordingInProgress) -> None:
        """Hands out a recording."""
        r = recording
        self.tasks.put({"audio": r.audio, "config": r.config, "split": r.split, "name": r.name, "track": r.track})
        recording.elsewhere = self._pieces(recording)

    def _pieces(self, recording: RecordingInProgress) -> Iterator[tuple[int | None, Piece]]:
        while True:
            found = self.found.get()
            if found is None:
                raise AsrError(f"{recording.name}: the process that read it has died; the same command goes on")
            state, piece = found
            vars(recording).update(state)
            if piece is None:
                return
            yield piece


def _take_in(receiving: Connection, found: Queue) -> None:
    """Until the process has ended."""
    try:
        while True:
            found.put(receiving.recv())
    except (EOFError, OSError):
        found.put(None)


def _end_with_parent() -> None:
    """Nothing else ends a process whose parent was killed."""
    multiprocessing.parent_process().join()
    os._exit(0)


def _read(tasks: Any, sending: Connection) -> None:
    """The life of a process: (what is known of the recording, (channel, piece)), and (all that is known, None) at its end."""
    leave_to_parent()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    network = load_voice_activity()
    while True:
        task = tasks.get()
        recording = RecordingInProgress(task.pop("audio"), network, task.pop("config"), **task)
        for piece in recording.pieces():
            sending.send(({"n_samples": recording.n_samples, "announced": recording.announced}, piece))
        sending.send(({name: value for name, value in vars(recording).items() if name not in OURS}, None))
