"""What is deprecated below us is still there: the first PyTorch without it fails here, and says what to do."""

import warnings

import torch
from torch import nn

NO_TORCHSCRIPT = (
    "this PyTorch has no TorchScript any more, which asr/model/inference.py compiles the decoder's layers with."
    " Let compile_steps return without doing anything there (the search gets slower, nothing else changes; `asr benchmark`"
    " says by how much), or find what compiles in less than a second and needs no C++ compiler; then raise the bound in"
    " pyproject.toml and mend CONTRIBUTING.md"
)
NO_INT8 = (
    "this PyTorch has no torch.ao.quantization any more, which --quantize int8 uses. Write a module of its own around"
    " torch.ops.quantized.linear_dynamic and linear_prepack, which did the work below it; then raise the bound in"
    " pyproject.toml and mend CONTRIBUTING.md"
)


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_torchscript_is_still_there():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = torch.jit.script(Doubled())(torch.ones(2))
        except Exception as error:
            raise AssertionError(NO_TORCHSCRIPT) from error
    assert found.tolist() == [2, 2]


def test_dynamic_int8_is_still_there():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 2)), {nn.Linear}, torch.qint8)
            shape = model(torch.ones(1, 4)).shape
        except Exception as error:
            raise AssertionError(NO_INT8) from error
    assert shape == (1, 2)
