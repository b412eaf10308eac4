"""A character language model: the decoder without anything to listen to, in a folder of its own.

config.json         format and sizes
tokens.txt          the token table
model.safetensors   the weights
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from asr.config_values import from_dict
from asr.errors import CheckpointError, ConfigError
from asr.files import write_file
from asr.folders import renewed
from asr.foreign_bytes import json_in, reading
from asr.model.decoder import Decoder, DecoderConfig, DecoderState
from asr.model.encoder import check_heads
from asr.model.folder import CONFIG, TOKENS, WEIGHTS, read_weights, writing
from asr.text.tokenizer import TokenTable

FORMAT_VERSION = 1
KIND = "language model"


@dataclass(frozen=True)
class LanguageModelConfig:
    """The size of a language model."""

    width: int = 256
    """Width D of the residual stream."""
    decoder: DecoderConfig = field(default_factory=lambda: DecoderConfig(layers=4, feed_forward=1024, tied=True))
    """The layers; their output layer shares the embedding's weights."""

    def __post_init__(self):
        check_heads("decoder", self.width, self.decoder.heads)


class LanguageModel(nn.Module):
    """Log-probabilities of the next token after the tokens so far."""

    def __init__(self, config: LanguageModelConfig, vocabulary: int):
        super().__init__()
        self.config = config
        self.decoder = Decoder(config.decoder, config.width, vocabulary, listens=False)
        self.tie()

    def tie(self) -> None:
        """Makes the output layer share the embedding's weights, if it is to: after these were replaced."""
        if self.config.decoder.tied:
            self.decoder.out.weight = self.decoder.embedding.weight

    def start(self, n_texts: int) -> DecoderState:
        """The state before the first token of so many texts."""
        return self.decoder.start_without_memory(n_texts)

    def forward(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Tokens (B, N, U), the next U of N hypotheses → log-probabilities (B, N, U, V) of what follows each, new state."""
        logits, state = self.decoder(tokens, state)
        return logits.float().log_softmax(-1), state


def save_language_model(folder: str | Path, model: LanguageModel, table: TokenTable, metadata: dict[str, str]) -> None:
    """Writes the folder, or new weights into it; what is a model of other sizes or tokens, or is not there, as a whole.

    Raises CheckpointError where it cannot be written.
    """
    folder = Path(folder)
    config = {"format_version": FORMAT_VERSION, "kind": KIND, "model": dataclasses.asdict(model.config)}
    tensors = {
        name: t.detach().cpu().contiguous() for name, t in model.state_dict().items() if not _repeated(model, name)
    }
    header = json.dumps({"tokens": table.fingerprint} | metadata, sort_keys=True)
    described = json.dumps(config, indent=2) + "\n"

    def same() -> bool:
        tokens = TokenTable.load(folder / TOKENS)
        return (folder / CONFIG).read_text(encoding="utf-8") == described and tokens.fingerprint == table.fingerprint

    with writing(folder / WEIGHTS), renewed(folder, WEIGHTS, same) as place:
        write_file(place / CONFIG, described)
        table.save(place / TOKENS)
        write_file(place / WEIGHTS, save(tensors, {"asr": header}))


def load_language_model(folder: str | Path, device: str | torch.device = "cpu") -> tuple[LanguageModel, TokenTable]:
    """Rebuilds a language model from its folder, in evaluation mode. Raises CheckpointError for anything else."""
    folder = Path(folder)
    path = folder / CONFIG
    if folder.is_dir() and not path.is_file():
        raise CheckpointError(
            f"{folder}: lacks {CONFIG}: it is neither a language model that `asr train-lm` wrote nor one as Hugging Face has them"
        )
    try:
        with reading(path, CheckpointError, "is not that of a language model"):
            data = json_in(path)
            if data.get("kind") != KIND or data["format_version"] != FORMAT_VERSION:
                raise CheckpointError(f"{folder}: holds no language model that `asr train-lm --kind transformer` wrote")
            config = from_dict(LanguageModelConfig, data["model"], "model")
    except ConfigError as error:
        raise CheckpointError(f"{path}: is not that of a language model ({error})") from error
    table = TokenTable.load(folder / TOKENS)
    tensors, header = read_weights(folder / WEIGHTS)
    if header.get("tokens") != table.fingerprint:
        raise CheckpointError(f"{folder}: {TOKENS} is not the table that {WEIGHTS} was trained with")
    with reading(folder, CheckpointError, "is no language model that this program can use"):
        with torch.device("meta"):  # its sizes alone, before anything so large is made
            model = LanguageModel(config, len(table))
        own = {name: t.shape for name, t in model.state_dict().items() if not _repeated(model, name)}
        if own != {name: t.shape for name, t in tensors.items()}:
            raise CheckpointError(f"{folder / WEIGHTS}: does not fit {CONFIG}; copy both again")
        model = LanguageModel(config, len(table))
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie()
    return model.eval().to(device), table


def _repeated(model: LanguageModel, name: str) -> bool:
    """Whether it is a second name of a tensor."""
    return model.config.decoder.tied and name == "decoder.out.weight"
