"""`asr doctor`: what is installed, what works, and what to do about what does not."""

import hashlib
import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import typer

from asr.extras import brings, requirements
from asr.foreign_bytes import listed, reason
from asr.version import VERSION

MODULES = {
    "pyyaml": "yaml",
    "silero-vad": "silero_vad",
    "prometheus-client": "prometheus_client",
    "python-multipart": "python_multipart",
    "pytest-xdist": "xdist",
}
"""Packages that are imported by another name than they are installed by."""
PURPOSES = {
    "text": "readings, scripts (--script), numbers as they are read",
    "corpora": "preparing public corpora",
    "train": "curves of training runs in TensorBoard",
    "export": "models for sherpa-onnx (asr model export --format onnx)",
    "kenlm": "language models in KenLM's binary form",
    "rescore": "large language models that rank what is found (--lm FOLDER)",
    "live": "transcribing from a microphone",
    "serve": "transcribing over HTTP",
    "dev": "running the tests",
    "containers": "m4a, mp4 and whatever else FFmpeg's libraries read",
    "pieces": "models whose tokens are SentencePiece's",
}
"""What an extra is good for."""
DECODERS = {
    "aac": "m4a aac mp4",
    "wmav2": "wma",
    "opus": "webm opus",
    "vorbis": "ogg",
    "mp3float": "mp3 in video",
    "amrnb": "amr",
    "libopencore_amrnb": "amr with pauses",
    "flac": "flac",
    "ac3": "ac3 (DVD)",
}
"""FFmpeg's decoder → what it reads."""

CHECKSUMS = "SHA256SUMS"
"""Beside the folders of the models that came along: what sha256sum writes of their files."""
AGAIN = "install the program again"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    """What it is."""
    fine: bool
    """Whether it is as it should be."""
    detail: str
    """What was found."""
    advice: str = ""
    """What to do, where it is not fine."""
    needed: bool = True
    """Whether recordings cannot be transcribed without it."""

    def line(self) -> str:
        """ok or what is wrong, the name, the detail; what to do on a line below."""
        state = "ok" if self.fine else "BROKEN" if self.needed else "missing"
        return f"{state:8}{self.name:14}{self.detail}" + (f"\n{'':22}→ {self.advice}" if self.advice else "")


def doctor() -> None:
    """Say what is installed, what works, and what to do about what does not.

    The status is 1 if recordings cannot be transcribed.
    """
    findings = list(examine())
    for finding in findings:
        print(finding.line())
    works = all(finding.fine for finding in findings if finding.needed)
    print("Recordings can be transcribed." if works else "Recordings cannot be transcribed: mend what is BROKEN.")
    raise typer.Exit(0 if works else 1)


def examine() -> Iterator[Finding]:
    """Everything in order: program, packages, device, decoders, models, extras."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("asr", True, f"{VERSION}, Python {python}, {platform.system()} {platform.machine()}")
    core, extras = requirements()
    for name, bounds in core.items():
        yield examine_package(name, bounds, f"pip install '{name}{bounds}'", needed=True)
    whole = examine_device, examine_decoders, examine_files, examine_models
    for look in whole if "torch" in core else (examine_runtime, examine_decoders):
        yield from guarded(look)
    for extra, packages in sorted(extras.items()):
        yield examine_extra(extra, packages)


def examine_package(name: str, bounds: str, advice: str, needed: bool) -> Finding:
    """Whether a package can be imported, in a version within the bounds (`>=2.11,<2.15`)."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, False, "is not installed", advice, needed)
    try:
        if name not in (
            "torchaudio",
            "silero-vad",
        ):  # the first one's native library does not load beside every PyTorch
            importlib.import_module(MODULES.get(name, name))
    except Exception as error:  # whatever a broken installation raises
        return Finding(name, False, f"{version} cannot be imported: {_first_line(error)}", advice, needed)
    if not within(version, bounds):
        return Finding(name, False, f"{version} is outside of {bounds}", advice, needed)
    return Finding(name, True, version, needed=needed)


def within(version: str, bounds: str) -> bool:
    """Whether a version such as 2.13.0+cpu is within bounds such as >=2.11,<2.15."""

    def numbers(text: str) -> tuple[int, ...]:
        found = [int(n) for n in re.findall(r"\d+", re.split(r"[+a-z]", text)[0])]
        while found and not found[-1]:
            found.pop()
        return tuple(found)

    known: dict[str, Callable] = {">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "==": lambda a, b: a == b}
    parts = [re.fullmatch(r"(>=|<|==)([\d.]+)", part.strip()) for part in bounds.split(",") if part.strip()]
    return all(known[part[1]](numbers(version), numbers(part[2])) for part in parts if part)


def guarded(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What `look` finds; if something it needs is not there, a finding that says so."""
    try:
        yield from look()
    except Exception as error:
        yield Finding(look.__name__.removeprefix("examine_"), False, _first_line(error), "see what is broken above")


def examine_device() -> Iterator[Finding]:
    """Where models run."""
    import torch

    threads = f"{torch.get_num_threads()} of {os.cpu_count()} CPU threads"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding("device", True, f"cuda: {names}; {threads}")
    elif Path("/proc/driver/nvidia/version").exists():
        yield Finding(
            "device",
            False,
            f"cpu, {threads}, although there is an NVIDIA GPU: this PyTorch ({torch.__version__}) cannot use it",
            "install the build for CUDA that pytorch.org/get-started names, in the version of constraints.txt",
            needed=False,
        )
    else:
        yield Finding("device", True, f"cpu, {threads}")


def examine_runtime() -> Iterator[Finding]:
    """Where exported models run."""
    from onnxruntime import get_available_providers

    detail = f"cpu, {os.cpu_count()} CPU threads; ONNX Runtime has {', '.join(get_available_providers())}"
    yield Finding("device", True, detail)
    yield Finding(
        "model", True, "none comes along: `asr transcribe --backend onnx --model FOLDER` takes what was exported"
    )


def examine_decoders() -> Iterator[Finding]:
    """Which recordings can be read."""
    import soundfile

    formats = " ".join(
        sorted(name.lower() for name in soundfile.available_formats() if name in ("WAV", "FLAC", "OGG", "MP3"))
    )
    yield Finding("libsndfile", True, f"{soundfile.__libsndfile_version__}: {formats}")
    if find_spec("av") is None:  # said already: of a package that is missing, or of an extra
        return
    import av

    there = {name: what for name, what in DECODERS.items() if name in av.codecs_available}
    yield Finding(
        "FFmpeg",
        True,
        f"libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}: {', '.join(there.values())}",
    )
    for name in DECODERS.keys() - there.keys():
        yield Finding(name, False, f"FFmpeg's libraries came without it: no {DECODERS[name]}", needed=False)


def examine_files() -> Iterator[Finding]:
    """What the models that came with the program consist of, byte by byte: their answers do not tell of each."""
    from asr.model_paths import PRETRAINED

    try:
        lines = (PRETRAINED / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        yield Finding("files", False, f"{PRETRAINED / CHECKSUMS}: {reason(error)}", AGAIN)
        return
    sums = {name: expected for expected, name in (line.split("  ", 1) for line in lines)}
    faults = {name: _fault(PRETRAINED / name, expected) for name, expected in sums.items()}
    if wrong := [f"{name} ({fault})" for name, fault in faults.items() if fault]:
        yield Finding("files", False, f"of the models that came along in {PRETRAINED}: {listed(wrong)}", AGAIN)
    else:
        yield Finding("files", True, f"the {len(sums)} files of the models that came along are whole")


def _fault(path: Path, expected: str) -> str:
    """What is wrong with a file that has a SHA-256; empty for nothing."""
    try:
        with open(path, "rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == expected
    except OSError as error:
        return reason(error)
    return "" if whole else "damaged"


def examine_models() -> Iterator[Finding]:
    """Every model that came with the program, loaded and asked for its golden answers."""
    from asr.catalogue.finding import DEFAULT, PRETRAINED
    from asr.model.folder import WEIGHTS, load_model

    folders = sorted(path.parent for path in PRETRAINED.glob(f"*/{WEIGHTS}"))
    if PRETRAINED / DEFAULT not in folders:
        advice = f"install the program again; {WEIGHTS} belongs into that folder"
        yield Finding("model", False, f"{DEFAULT} is not in {PRETRAINED}", advice)
    for folder in folders:
        model = load_model(folder).model
        head = "with a CTC head" if model.ctc is not None else "without a CTC head"
        size = sum(p.numel() for p in model.parameters()) / 1e6
        yield Finding("model", True, f"{folder.name}: {size:.1f} M parameters, {head}, answers as it should")


def examine_extra(extra: str, packages: dict[str, str]) -> Finding:
    """Whether the packages of an extra are there."""
    found = [examine_package(name, bounds, "", needed=False) for name, bounds in packages.items()]
    wrong = [f"{finding.name} {finding.detail}" for finding in found if not finding.fine]
    purpose = PURPOSES.get(extra, "")
    if wrong:
        detail = f"{purpose}: {'; '.join(wrong)}".removeprefix(": ")
        return Finding(f"[{extra}]", False, detail, brings(extra), needed=False)
    return Finding(f"[{extra}]", True, purpose, needed=False)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
