"""Where a model folder may be written, and what it may take the place of."""

from pathlib import Path

from asr.errors import CheckpointError
from asr.folders import put_back
from asr.model.folder import weights_file
from asr.places import require_replaceable


def refuse_model(out: Path, force: bool) -> None:
    """Raises CheckpointError where something is in the folder `out` already, unless it is to be overwritten."""
    if out.is_dir() and any(out.iterdir()) and not force:
        raise CheckpointError(f"{out}: is there already; choose another name, or --force to overwrite it")


def refuse_folder(out: Path, force: bool) -> None:
    """Raises CheckpointError where a model cannot be written as the folder `out`, `force`: in place of the model there."""
    put_back(out)
    if out.exists() and not out.is_dir():
        raise CheckpointError(f"{out}: is a file, no model folder; choose another name")
    refuse_model(out, force)
    if out.is_dir() and any(out.iterdir()) and not weights_file(out).is_file():
        raise CheckpointError(f"{out}: holds files but no model; --force only overwrites a model folder")
    require_replaceable(out)
