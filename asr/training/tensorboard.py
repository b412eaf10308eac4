"""What log.jsonl holds, as curves for TensorBoard (extra `train`): `tensorboard --logdir OUT`.

log.jsonl is the whole truth. Whenever a run begins or goes on, its curves are drawn anew from it: no point is there twice,
and a run that began without them gets them from its first step on.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from asr.errors import AsrError
from asr.extras import brings

FOLDER = "tensorboard"


class Curves:
    """The curves of a run in the folder `tensorboard` of its own, open for more points."""

    def __init__(self, folder: Path, lines: Iterable[dict]):
        """`lines`: what log.jsonl holds already."""
        kind = writer_class()
        for path in event_files(folder):
            path.write_bytes(b"")  # one that is gone would bring a TensorBoard that is open to a halt
        # from step 0 on, a TensorBoard that is open now forgets what it has read of the files before
        self.writer = kind(str(folder / FOLDER), purge_step=0, flush_secs=30)
        lines = list(lines)
        walls = [line["wall"] for line in lines if "wall" in line]
        now = began = time.time() - (walls[-1] if walls else 0.0)  # as if there had been no interruptions
        for line in lines:
            now = began + line["wall"] if "wall" in line else now
            self.add(line, now)

    def add(self, line: dict, when: float | None = None) -> None:
        """The numbers of a line of log.jsonl; `when` in seconds since 1970, None is now."""
        for name, value in points(line):
            self.writer.add_scalar(name, value, line["step"], when)

    def close(self) -> None:
        self.writer.close()


def event_files(folder: Path) -> list[Path]:
    """What an earlier process has written for TensorBoard in the folder of a run."""
    return sorted((folder / FOLDER).glob("events.out.tfevents.*"))


def writer_class() -> type:
    """What writes files for TensorBoard. Raises AsrError where that is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise AsrError(f"--tensorboard needs TensorBoard ({error}): {brings('train')}") from None
    return SummaryWriter


def points(line: dict) -> Iterator[tuple[str, float]]:
    """Names of curves and their values in a line of log.jsonl.

    Example: {"step": 200, "epoch": 5, "health": {"gain": 2.1, "by_position": {"1": 0.5}}} gives health/gain and
    health/accuracy_at_1.
    """
    if "health" in line:
        for name, value in line["health"].items():
            if name == "by_position":
                yield from ((f"health/accuracy_at_{place.replace('+', '_and_on')}", v) for place, v in value.items())
            else:
                yield f"health/{name}", value
    elif "dev_cer" in line:
        yield from ((name.replace("dev_", "dev/", 1), value) for name, value in line.items() if name != "step")
    elif "loss" in line:
        yield from ((f"train/{name}", value) for name, value in line.items() if name != "step")
