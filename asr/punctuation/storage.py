"""A punctuator on disk: its weights, tables as int8 with a scale for each row and the rest as float16, and its vocabulary."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from asr.errors import CheckpointError
from asr.files import write_file
from asr.foreign_bytes import json_value, quoted, reading, shortened
from asr.punctuation.features import LONGEST_WORD, NO_SOUND, Vocabulary
from asr.punctuation.marks import MARKS
from asr.punctuation.network import Tagger

WEIGHTS, VOCABULARY = "tagger.safetensors", "vocabulary.json"
_SCALE = ".scale"
_LEARNT_WITH = "vocabulary"
"""In the header of the weights: by what they know their vocabulary. Older ones do not say it."""
_ADVICE = "install the program again, or train it anew (recipes/punctuation)"


@dataclass(frozen=True)
class Stored:
    """What is on disk."""

    network: Tagger
    """Ready to be used."""
    vocabulary: Vocabulary
    """What it knows of characters."""
    bias: Tensor
    """What is added to the score of each tag, (tags,)."""


def save_punctuator(folder: Path, network: Tagger, vocabulary: Vocabulary, bias: list[float]) -> None:
    """Writes both files; `bias` is what is added to the score of each tag."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        if tensor.dim() == 2:
            scale = (tensor.abs().amax(1, keepdim=True) / 127).half()
            tensors[name + _SCALE] = scale
            tensors[name] = (tensor / scale.float().clamp(min=1e-7)).round().clamp(-127, 127).to(torch.int8)
        else:
            tensors[name] = tensor.half().contiguous()
    described = {
        "characters": vocabulary.characters,
        "sounds": vocabulary.sounds,
        "variants": vocabulary.variants,
        "words": vocabulary.words,
        "bias": bias,
    }
    text = json.dumps(described, ensure_ascii=False)
    write_file(folder / VOCABULARY, text)
    write_file(folder / WEIGHTS, save(tensors, {_LEARNT_WITH: _known_by(text)}))


def read_punctuator(folder: Path) -> Stored:
    """What save_punctuator wrote. Raises CheckpointError for what is missing or damaged."""
    with reading(folder / VOCABULARY, CheckpointError, advice=_ADVICE):
        text = (folder / VOCABULARY).read_text(encoding="utf-8")
        described = json_value(text)
        if not isinstance(described, dict):
            raise ValueError("holds no object of JSON")
        vocabulary, bias = _vocabulary(described), _bias(described["bias"])
    network = Tagger(len(vocabulary.sound_of), int(vocabulary.sound_of.max()) + 1, len(vocabulary.words))
    with reading(folder / WEIGHTS, CheckpointError, advice=_ADVICE), safe_open(folder / WEIGHTS, "pt") as file:
        tensors = {name: _restored(file, name) for name in file.keys() if not name.endswith(_SCALE)}
        _check(tensors, network)
        if (file.metadata() or {}).get(_LEARNT_WITH, _known_by(text)) != _known_by(text):
            raise ValueError(f"was learnt with another {VOCABULARY} than the one beside it")
        network.load_state_dict(tensors)
    return Stored(network.eval(), vocabulary, bias)


def _known_by(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _vocabulary(described: Mapping[str, Any]) -> Vocabulary:
    """Raises ValueError, KeyError or TypeError for one with which a text could not be looked up."""
    characters, variants = described["characters"], described["variants"]
    sounds, words = described["sounds"], described["words"]
    for name, value in (("characters", characters), ("variants", variants)):
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a text, is {quoted(value)}")
    for name, values, kind in (("sounds", sounds, int), ("words", words, str)):
        if not isinstance(values, list) or any(type(value) is not kind for value in values):
            raise ValueError(f"{name} must be a list of {'numbers' if kind is int else 'texts'}, is {quoted(values)}")
    known = set(characters)
    if not known or len(known) != len(characters):
        raise ValueError("characters must be there, each of them once")
    if len(sounds) != len(characters) or not all(NO_SOUND <= sound <= len(characters) for sound in sounds):
        raise ValueError(
            f"sounds must be a number from 0 to {len(characters):,} for each of the {len(characters):,} characters"
        )
    if len(variants) % 2 or not known.issuperset(variants[1::2]):
        raise ValueError("variants must be pairs, the second of each one of the characters")
    strange = [word for word in words if not 2 <= len(word) <= LONGEST_WORD or not known.issuperset(word)]
    if strange or len(set(words)) != len(words):
        what = quoted(strange[0]) if strange else "one that comes twice"
        raise ValueError(f"words must be of 2 to {LONGEST_WORD} of the characters, each of them once; there is {what}")
    return Vocabulary(characters, tuple(sounds), variants, tuple(words))


def _bias(values: Any) -> Tensor:
    """Raises ValueError where it is not a number for each tag."""
    numbers = isinstance(values, list) and all(
        type(value) in (int, float) and abs(value) < math.inf for value in values
    )
    if not numbers or len(values) != len(MARKS) + 1:
        raise ValueError(f"bias must be a list of {len(MARKS) + 1} numbers, is {quoted(values)}")
    return torch.tensor(values, dtype=torch.float32)


def _check(tensors: Mapping[str, Tensor], network: Tagger) -> None:
    """Raises ValueError where tensors are not those of the network, or hold what is no number."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        found = tuple(tensors[name].shape) if name in tensors else "none"
        if found != expected.get(name, "none"):
            raise ValueError(
                f"{shortened(name)} should have the shape {expected.get(name, 'none')} by {VOCABULARY}, has {found}: one of"
                " the two files is damaged, or of another version"
            )
        if not bool(tensors[name].isfinite().all()):
            raise ValueError(f"{name} holds what is no number")


def _restored(file: safe_open, name: str) -> Tensor:
    tensor = file.get_tensor(name)
    if tensor.dim() != 2:
        return tensor.float()
    scale = file.get_tensor(name + _SCALE)
    if tuple(scale.shape) != (len(tensor), 1):
        raise ValueError(f"{shortened(name)} should have a scale for each of its {len(tensor):,} rows")
    return tensor.float() * scale.float()
