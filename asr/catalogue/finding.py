"""Finding models by their names: folders, what came with the program, what is published."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from asr.catalogue.published import PUBLISHED
from asr.errors import CheckpointError, UsageError
from asr.folders import put_back
from asr.language import say
from asr.model.bases import is_adapted, look_for_base, read_adapter
from asr.model.folder import WEIGHTS
from asr.model_paths import PRETRAINED, cache

DEFAULT = "embedded"


def find_model(name: str | Path = "") -> Path:
    """The folder of a model: a path, the name of one that came with the program (the default one without a name), or
    of a published one, which is fetched if it was not before; what is fetched, and how much, is said on stderr."""
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"a model is given by its path or its name, not by a {type(name).__name__}")
    name = str(name) or DEFAULT
    if put_back(Path(name)) and Path(name).is_dir():
        _fetch_base(Path(name))
        return Path(name)
    if (PRETRAINED / name / WEIGHTS).is_file():
        return PRETRAINED / name
    if name in PUBLISHED:
        return _fetch(name)
    own = ", ".join(sorted(p.parent.name for p in PRETRAINED.glob(f"*/{WEIGHTS}"))) or "none"
    raise CheckpointError(
        f"{name}: no such model folder, none of the models that came with the program ({own}), and none of the published"
        f" ones ({', '.join(PUBLISHED)})"
    )


def _fetch(name: str) -> Path:
    from asr.catalogue.pull import pull  # brings what speaks HTTP: others need not wait for it

    return pull(name, say=say)


def _fetch_base(folder: Path) -> None:
    """Fetches the published model that the adapters in a folder belong to, if that is what they need."""
    base = read_adapter(folder).base if is_adapted(folder) else ""
    if base in PUBLISHED and look_for_base(folder, base) is None:
        _fetch(base)


def hint_at_larger_models(model: str | Path, say: Callable[[str], None]) -> None:
    """Says once per machine, to a person at a terminal, that the embedded model is not all there is."""
    if not sys.stderr.isatty() or str(model) not in ("", DEFAULT) or Path(DEFAULT).is_dir():
        return
    said = cache() / "hint-said"
    try:
        said.parent.mkdir(parents=True, exist_ok=True)
        said.touch(exist_ok=False)
    except OSError:  # said before, or nowhere to remember that it was
        return
    say("asr: this was the small model that comes with the program; larger published ones: asr model list")


def results_folder(model: Path) -> Path:
    """Where results of a model go if nobody says: into its folder, unless that is shared or came with the program."""
    shared = PRETRAINED in model.parents or cache() in model.parents
    return Path("eval") / model.name if shared else model / "eval"
