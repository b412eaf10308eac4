"""What a run needs before its first step: a folder it may use, a token table, an optimizer."""

import json
from pathlib import Path

import torch

from asr.config import Config
from asr.corpus.manifest import Utterance
from asr.corpus.texts import texts_of
from asr.errors import CheckpointError
from asr.files import remove_leftovers
from asr.model.folder import WEIGHTS
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable
from asr.training.checkpoint import CHECKPOINTS, STATE, load_state
from asr.training.settings import TrainConfig

SETTINGS, LOG, TOKENS = "settings.json", "log.jsonl", "tokens.txt"
MAY_CHANGE = {"max_steps", "log_every", "evaluate_every", "checkpoint_every", "device"}
"""Settings of [train] that may differ when a run goes on."""


def resumable_state(folder: Path, config: Config, force: bool) -> dict | None:
    """The state to go on from, None to start; refuses a folder that holds another run or something else."""
    if force and (folder / SETTINGS).exists():
        for path in (folder / STATE, folder / LOG, folder / WEIGHTS, *folder.glob("checkpoints/*.safetensors")):
            path.unlink(missing_ok=True)
        return None
    remove_leftovers(folder)
    remove_leftovers(folder / CHECKPOINTS)
    if folder.exists() and any(folder.iterdir()) and not (folder / SETTINGS).exists():
        raise CheckpointError(f"{folder}: holds files but no training run; choose another --out")
    state = load_state(folder)
    if state is None:
        return None
    before, now = json.loads(state["settings"]), json.loads(config.to_json())
    differing = [
        f"{section}.{key} was {before.get(section, {}).get(key)!r} and is {value!r}"
        for section, values in now.items()
        for key, value in values.items()
        if before.get(section, {}).get(key) != value and not (section == "train" and key in MAY_CHANGE)
    ]
    if differing:
        raise CheckpointError(
            f"{folder}: was started with other settings: {'; '.join(differing)}. Use another --out, or --force to start over"
        )
    return state


def token_table(config: Config, utterances: list[Utterance], folder: Path, resumed: bool) -> TokenTable:
    """The run's own table where it goes on; else the one the config names; else one built from the texts."""
    if resumed:
        return TokenTable.load(folder / TOKENS)
    if config.data.tokens:
        return TokenTable.load(config.data.tokens)
    lines = [line for path in config.data.texts for line in texts_of(path)]
    return TokenTable.build([u.text for u in utterances] + lines, config.data.min_count)


def make_optimizer(model: SpeechModel, settings: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; biases, norms and the embedding do not decay."""
    spared = [p for n, p in model.named_parameters() if p.ndim < 2 or n == "decoder.embedding.weight"]
    decayed = [p for n, p in model.named_parameters() if not (p.ndim < 2 or n == "decoder.embedding.weight")]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2))
