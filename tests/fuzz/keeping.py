"""Inputs as files: laid out in a folder, and kept as a zip file named by target and hash."""

import hashlib
import shutil
import zipfile
from pathlib import Path

from tests.fuzz.mutate import Files


def lay_out(files: Files, folder: Path) -> None:
    """Makes the folder hold these files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)


def read_folder(folder: Path) -> Files:
    """The files of an input that lie in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[name + "/"] = b""
    return found


def keep(folder: Path, target: str, files: Files) -> str:
    """Keeps an input as a zip file named by its target and its hash, and returns the name."""
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:12]
    name = f"{target}-{digest}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return name


def kept(path: Path) -> tuple[str, Files]:
    """The target and the files of an input that was kept."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return path.stem.rpartition("-")[0], files
