"""What torchrun, or another launcher that sets the same variables, says of this process; alone it is number 0 of 1."""

import os


def rank() -> int:
    """The number of this process."""
    return int(os.environ["RANK"]) if launched() else 0


def processes() -> int:
    """How many there are, on all machines together."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def launched() -> bool:
    """Whether a launcher started this process; it then passes signals on, and kills what does not end."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def watched() -> bool:
    """Whether torchrun did, which ends all processes where one of them ends."""
    return launched() and "TORCHELASTIC_RUN_ID" in os.environ


def scheduled() -> bool:
    """Whether something may start the command again that was ended: a launcher, or Slurm."""
    return launched() or "SLURM_JOB_ID" in os.environ
