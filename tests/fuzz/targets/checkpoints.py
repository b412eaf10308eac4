"""Folders of other toolkits, as they are imported."""

import functools
from pathlib import Path
from random import Random

from tests.fuzz.mutate import Files
from tests.fuzz.mutate_saved import PICKLED, mutate_saved, pickled_bombs
from tests.fuzz.target import Target

FIXTURES = Path(__file__).parents[2] / "fixtures"
TOOLKITS = {
    "wenet": ("wenet-*",),
    "espnet": ("espnet2-*",),
    "firered": ("firered*",),
    "speechbrain": ("speechbrain-*",),
    "whisper": ("whisper-*",),
    "dolphin": ("dolphin*",),
    "cohere": ("cohere-*",),
}
"""Toolkit → patterns of the fixtures that its own code wrote."""
ANSWERS = ("golden.json", "golden.npz", "README.md")


def folders(toolkit: str) -> list[Files]:
    found = []
    for pattern in TOOLKITS[toolkit]:
        for folder in sorted(FIXTURES.glob(f"interop*/{pattern}")):
            files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
            files = {name: content for name, content in files.items() if Path(name).name not in ANSWERS}
            found.append(files)
    return found


def mutate_checkpoint(random: Random, seeds: list[Files]) -> Files:
    if random.random() > 0.02:
        return mutate_saved(random, seeds)
    files = dict(random.choice(seeds))
    pickled = [name for name in files if name.endswith(PICKLED)]
    return files | ({random.choice(pickled): random.choice(pickled_bombs())} if pickled else {})


def import_one(toolkit: str, folder: Path) -> None:
    from asr.interop.importing import read_model

    read_model(toolkit, folder)


TARGETS = {
    f"import-{toolkit}": Target(
        functools.partial(import_one, toolkit), functools.partial(folders, toolkit), mutate_checkpoint, in_tests=15
    )
    for toolkit in TOOLKITS
}
