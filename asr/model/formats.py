"""Settings that earlier versions wrote into model folders and runs, as this version has them."""

import copy
from typing import Any

from asr.audio.reading import SAMPLE_RATE

FORMAT = 3
"""The version of the model folder's format: 2 added int8 weights, 3 the section `subsampling` of the model's settings."""

SUBSAMPLING = {
    "subsampling": "factor",
    "channels": "channels",
    "last_channels": "last_channels",
    "subsampling_reflect": "reflect",
    "subsampling_norm": "norm",
    "subsampling_activation": "activation",
    "blocks": "blocks",
    "over_time": "over_time",
    "extra_frames": "extra_frames",
}
"""Name among the model's settings before format 3 → name in the section `subsampling`."""


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """Sections of settings, `features` and `model` among them, of any version; what is damaged stays as it is."""
    values = copy.deepcopy(values)
    features, model = values.get("features"), values.get("model")
    if isinstance(features, dict):
        if features.get("sample_rate") == SAMPLE_RATE:
            del features["sample_rate"]
        if "unit" not in features and features.get("kind") == "stft" and _imported(values):
            features["unit"] = 0.0
    if isinstance(model, dict) and not isinstance(model.get("subsampling"), dict) and SUBSAMPLING.keys() & model.keys():
        model["subsampling"] = {new: model.pop(old) for old, new in SUBSAMPLING.items() if old in model}
    return values


def _imported(values: dict[str, Any]) -> bool:
    """Whether features may be those of another toolkit: a model's, or of a run that went on from a model."""
    train = values.get("train", {"initial_model": True})
    return isinstance(train, dict) and bool(train.get("initial_model"))
