"""Where a model computes."""

import math
import os
import sys
import time

import torch

from asr.errors import UsageError

if hasattr(os, "register_at_fork"):  # not on Windows
    # the threads that PyTorch computes with do not live on in a forked process, which would wait for them for ever
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def pick_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one, and `cuda` one for each process of torchrun; else what PyTorch calls it: cpu, cuda:1.

    For a GPU it also sets how PyTorch computes attention there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device must be auto, cpu or cuda, is {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device must be auto, cpu or cuda, is {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device is {name!r}, but PyTorch finds no GPU here; use cpu or auto")
    if device.type == "cuda":
        # cuDNN's attention is built anew for each new shape, and hardly two batches have the same one: on an H200 a training
        # step on 1,500 s of audio took 1 s with it, and 0.14 s with PyTorch's own.
        torch.backends.cuda.enable_cudnn_sdp(False)
    return device


def slow_in_bfloat16(device: torch.device) -> bool:
    """Whether training in bfloat16 is slow there: on an x86 CPU without instructions for it.

    It then took ten times as long as float32 and more (AMD EPYC with AVX2, PyTorch 2.13). Not known is not slow.
    """
    if device.type != "cpu":
        return False
    able = getattr(torch.cpu, "get_capabilities", dict)()
    return able.get("architecture") == "x86_64" and not (able.get("avx512_bf16", True) or able.get("amx_bf16", True))


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product there: the best of five."""
    size = 8192 if device.type == "cuda" else 2048
    a, best = torch.randn(size, size, device=device, dtype=dtype), 0.0
    for _ in range(6):
        started = now(device)
        a @ a
        best = max(best, 2 * size**3 / (now(device) - started))
    return best


def now(device: torch.device) -> float:
    """Seconds on a clock, once the device has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(device: torch.device) -> float:
    """Most bytes that this process has taken so far, or has taken of the GPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)  # macOS counts bytes, Linux KiB
