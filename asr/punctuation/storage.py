"""A punctuator on disk: its weights, tables as int8 with a scale for each row and the rest as float16, and its vocabulary."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from asr.errors import CheckpointError
from asr.files import atomic_write
from asr.foreign_bytes import json_value, reading
from asr.punctuation.features import Vocabulary
from asr.punctuation.network import Tagger

WEIGHTS, VOCABULARY = "tagger.safetensors", "vocabulary.json"
_SCALE = ".scale"
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
    with atomic_write(folder / VOCABULARY) as file:
        json.dump(described, file, ensure_ascii=False)
    with atomic_write(folder / WEIGHTS, "wb") as file:
        file.write(save(tensors))


def read_punctuator(folder: Path) -> Stored:
    """What save_punctuator wrote. Raises CheckpointError for what is missing or damaged."""
    with reading(folder / VOCABULARY, CheckpointError, advice=_ADVICE):
        described = json_value((folder / VOCABULARY).read_text(encoding="utf-8"))
        known = described["characters"], tuple(described["sounds"]), described["variants"], tuple(described["words"])
        vocabulary = Vocabulary(*known)
        bias = torch.tensor(described["bias"])
        network = Tagger(len(vocabulary.sound_of), int(vocabulary.sound_of.max()) + 1, len(vocabulary.words))
    with reading(folder / WEIGHTS, CheckpointError, advice=_ADVICE), safe_open(folder / WEIGHTS, "pt") as file:
        names = [name for name in file.keys() if not name.endswith(_SCALE)]
        network.load_state_dict({name: _restored(file, name) for name in names})
    return Stored(network.eval(), vocabulary, bias)


def _restored(file: safe_open, name: str) -> Tensor:
    tensor = file.get_tensor(name).float()
    return tensor * file.get_tensor(name + _SCALE).float() if tensor.dim() == 2 else tensor
