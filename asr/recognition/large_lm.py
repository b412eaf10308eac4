"""A large language model in a folder as Hugging Face has them, which says how likely whole texts are; `transformers` runs it.

config.json                         its kind and its sizes
model.safetensors, or several       the weights
tokenizer.json, or another of its   how texts become its tokens
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from asr.errors import AsrError, Cancelled, CheckpointError
from asr.extras import brings
from asr.foreign_bytes import json_in, listed, reading
from asr.model.inference import fast_in_bfloat16
from asr.recognition.encoding import grouped
from asr.recognition.token_tree import Asked, as_tree, grouped_by_beginning, side_by_side
from asr.stopping import never

CONFIG = "config.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
"""Files of which one says how texts become tokens."""
PARTS = (".safetensors", ".json", ".model", ".txt", ".tiktoken")
"""How names of files end that transformers may read of a model."""
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How names of architectures end that say what comes next."""
END = "。"
"""Written behind each text: one that breaks off in the middle is not likely to end there."""
MARKS = "。？！….?!"
"""A text that ends in one of these ends already."""
LOGITS = 2**26
"""Numbers that come out of the network at a time at most, the vocabulary for each token: 128 MB in bfloat16."""
TREE = 256
"""Tokens of a tree at most: more are no faster on a CPU, and between trees it can be stopped."""
WINDOWS = ("sliding_window", "attention_chunk_size", "window_size")
"""What configurations call how far some of their layers look back."""
CHUNK = 64
"""Tokens whose whole vocabulary is added up at a time."""
GGUF_ADVICE = "recipes/embedded/README.md shows how transformers makes a folder of it, once"


def is_large_lm(path: str | Path | None) -> bool:
    """Whether this is a folder as Hugging Face has them, whatever model it holds; False for none at all. Our own configurations
    name no architecture."""
    if not path:
        return False
    with suppress(OSError, ValueError, RecursionError):
        data = json.loads((Path(path) / CONFIG).read_text(encoding="utf-8"))
        return isinstance(data, dict) and not {"architectures", "model_type"}.isdisjoint(data)
    return False


def files_of_large_lm(folder: str | Path) -> list[Path]:
    """The files that scores depend on, in order of their names: weights, settings and what makes tokens of texts; none where
    there is no such folder."""
    return sorted(path for path in Path(folder).glob("*") if path.suffix in PARTS)


def refuse_gguf(path: Path) -> None:
    """Raises CheckpointError for a model of llama.cpp, or a folder with nothing else."""
    if path.suffix == ".gguf" or (path.is_dir() and not (path / CONFIG).exists() and any(path.glob("*.gguf"))):
        raise CheckpointError(f"{path}: GGUF is not read; {GGUF_ADVICE}")


class LargeLm:
    """Log-probabilities of whole texts. Threads may use it at the same time."""

    def __init__(self, model: Any, tokenizer: Any, path: Path):
        """model, tokenizer: of transformers; path: where they are from."""
        self.model, self.tokenizer, self.path = model, tokenizer, path
        config = model.config.get_text_config()
        self.size: int = config.vocab_size
        """Of its vocabulary."""
        parting = self._tokens("\n") or self._tokens(END)  # with the first call a tokenizer settles not to cut texts
        begins = getattr(config, "bos_token_id", None)
        named = (tokenizer.bos_token_id, tokenizer.cls_token_id, begins, tokenizer.eos_token_id)
        self.start = [token for token in named if token is not None and token < self.size][:1] or parting
        """What stands before a text, and is not scored: that with which texts begin, or what parts them."""
        self.most = getattr(config, "max_position_embeddings", None) or 2048
        """Tokens that it can see at a time."""
        self.budget = max(1, LOGITS // self.size)
        """Tokens, padding included, that are scored at a time."""
        windows = [getattr(config, name, None) for name in WINDOWS]
        self.widest = min(TREE, self.budget, self.most, *[size for size in windows if isinstance(size, int)])
        """Tokens of a tree at most: so many can see each other, wherever they stand in it."""
        self.in_trees = self._takes_trees()
        """Whether what texts begin with alike is computed once."""

    def _tokens(self, text: str) -> list[int]:
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if (largest := max(tokens, default=0)) >= self.size:
            raise CheckpointError(
                f"{self.path}: its tokenizer has a token {largest:,}, its network {self.size:,} of them: is one another model's?"
            )
        return tokens

    @torch.inference_mode()
    def _takes_trees(self) -> bool:
        """Whether it says of a branch of a tree what it says of a row of its own, by trying.

        Some networks refuse, others would be wrong: those that count positions themselves, or hand something on from token to
        token. In the tree the second branch stands behind the first, and goes on as that did, which changes much for them.
        """
        tokens = [(1 + 997 * i) % self.size for i in range(9)]
        rows = [tokens[:8], [tokens[0], *tokens[3:]]]
        with suppress(Exception):  # whatever a network does with what it does not know
            tree, alone = [
                self._logits(asked)[[places[-1] for places in asked.places]].float()
                for asked in (as_tree(rows), side_by_side(rows))
            ]
            off = (tree - alone).norm() / (alone - alone.mean(1, keepdim=True)).norm()
            return bool(off < torch.finfo(self.model.dtype).eps ** 0.5)
        return False

    @torch.inference_mode()
    def nats(self, texts: Sequence[str], cancelled: Callable[[], bool] = never) -> list[float]:
        """The natural logarithm of each text's probability as a sentence of its own, with its end.

        What is longer than the model can see is cut, and each part stands for itself. Raises Cancelled soon after `cancelled`
        says so, CheckpointError where what the network says are no numbers.
        """
        rows, owners = [], []
        room = self.most - len(self.start)
        for i, text in enumerate(texts):
            tokens = self._tokens(text if text.endswith(tuple(MARKS)) else text + END)
            parts = [[*self.start, *tokens[place : place + room]] for place in range(0, len(tokens), room)]
            rows += parts
            owners += [i] * len(parts)
        found = [0.0] * len(texts)
        for group in self._groups(rows):
            if cancelled():
                raise Cancelled
            for i, score in zip(group, self._scores([rows[i] for i in group]), strict=True):
                found[owners[i]] += score
        if not all(map(math.isfinite, found)):
            raise CheckpointError(f"{self.path}: its scores are no numbers: its weights are damaged")
        return found

    def _groups(self, rows: list[list[int]]) -> list[list[int]]:
        """Which rows are scored at once."""
        if self.in_trees:
            return grouped_by_beginning(rows, self.widest)
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        return [[order[place] for place in group] for group in grouped([len(rows[i]) for i in order], self.budget)]

    def _scores(self, rows: list[list[int]]) -> list[float]:
        """Log-probabilities of the tokens of rows behind the start."""
        asked = as_tree(rows) if self.in_trees and len(rows) > 1 else side_by_side(rows)
        logits = self._logits(asked)
        totals = torch.cat([some.float().logsumexp(1) for some in logits.split(CHUNK)])  # the vocabulary is large
        scores, skipped = [], len(self.start) - 1
        for row, before in zip(rows, asked.places, strict=True):
            places, tokens = torch.tensor([before[skipped:], row[len(self.start) :]], device=logits.device)
            scores.append(float((logits[places, tokens].float() - totals[places]).double().sum()))
        return scores

    def _logits(self, asked: Asked) -> Tensor:
        """(B times T, V) what the network says behind each token."""
        device, dtype, more = self.model.device, self.model.dtype, {}
        if asked.sees is not None and asked.depths is not None:
            hidden = torch.zeros(asked.sees.shape, dtype=dtype).masked_fill(~asked.sees, torch.finfo(dtype).min)
            # what is added to the scores of attention: not every kind of it takes booleans
            more = {"position_ids": asked.depths.to(device), "attention_mask": hidden.to(device)}
        return self.model(input_ids=asked.ids.to(device), use_cache=False, **more).logits.flatten(0, 1)


def load_large_lm(folder: str | Path, device: torch.device | str = "cpu") -> LargeLm:
    """The model in a folder, in bfloat16 where that is fast and in float32 elsewhere. Nothing that lies in the folder is run.

    Raises CheckpointError for a folder that lacks something or holds another kind of model, AsrError without transformers.
    """
    folder, device = Path(folder), torch.device(device)
    _require_whole(folder)
    transformers = _transformers(folder)
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else fast_in_bfloat16()
    own = {"local_files_only": True, "trust_remote_code": False}
    with reading(folder, CheckpointError, "is no model that transformers can load"), _quiet(transformers):
        # of some kinds AutoTokenizer takes the words of tokenizer.json alone, and its own rules
        literal = (folder / TOKENIZERS[0]).is_file()
        kind = transformers.PreTrainedTokenizerFast if literal else transformers.AutoTokenizer
        tokenizer = kind.from_pretrained(folder, **own)
        model, notes = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.bfloat16 if fast else torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **own,
        )
    if lacking := sorted(notes["missing_keys"]):  # transformers would go on with random numbers there
        raise CheckpointError(f"{folder}: its weights lack {listed(lacking)}: copy them again")
    return LargeLm(model.eval().to(device), tokenizer, folder)


def _require_whole(folder: Path) -> None:
    with reading(folder / CONFIG, CheckpointError, "is not that of a language model"):
        named = json_in(folder / CONFIG).get("architectures") or []
        if not any(str(name).endswith(CAUSAL) for name in named):
            raise CheckpointError(
                f"{folder}: holds {listed(named) or 'no named architecture'}, no language model that says what comes next"
                f" ({' or '.join(f'…{end}' for end in CAUSAL)})"
            )
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"{folder}: lacks its weights, model.safetensors (other forms can run code when they are read)"
        )
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise CheckpointError(f"{folder}: lacks its tokenizer, {TOKENIZERS[0]}: copy all files of the model")


def _transformers(folder: Path) -> ModuleType:
    try:
        with _hidden("torchaudio"):
            import transformers
            import transformers.audio_utils  # noqa: F401  whatever model it loads
    except ImportError:
        raise AsrError(f"{folder}: is a large language model, which transformers runs: {brings('rescore')}") from None
    return transformers


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """A block in which a package that nobody has imported yet seems not to be installed.

    transformers imports torchaudio where it finds it, and fails where that was built for another PyTorch; texts need none.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """A block in which transformers draws no progress and says errors only."""
    logging = transformers.utils.logging
    before, drawn = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if drawn:
            logging.enable_progress_bar()
