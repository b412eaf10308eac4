"""Where a model comes from, in a few words that stay with its weights: data, settings, batch, versions, commit."""

import json
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path

import torch

from asr.training.config import Config
from asr.version import VERSION


def origin(config: Config, data: str, tokens: str) -> dict[str, str]:
    """For the header of the weights; `data` and `tokens` are fingerprints. `settings` holds all of them as JSON."""
    train = config.train
    return {
        "data": data,
        "table": tokens,
        "batch": f"{config.data.batch_seconds * train.accumulate:g} s of audio a step",
        "versions": f"asr {VERSION}, torch {torch.__version__}, Python {platform.python_version()}",
        "seed": str(train.seed),
        "settings": json.dumps(asdict(config), ensure_ascii=False, sort_keys=True),
    } | commit()


def commit() -> dict[str, str]:
    """The commit of the program's own repository, and whether files differ from it; nothing where it is installed without."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        found = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": found + (" with changes" if changed else "")}


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
