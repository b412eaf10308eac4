"""A model with more encoder blocks that computes the same, to be trained further.

    python recipes/embedded/deepening.py exp/embedded-mean-ninth --layers 9 --out exp/embedded-deep

New blocks are copies of those before them, evenly spread, whose parts end in zeros: at first they add nothing, and learn from
there (as in Chen et al. 2016, arXiv:1511.05641: Net2Net). A Conformer's block ends in a norm; what that scales by moves to the
copy, since a norm of what is normalised changes nothing.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from asr.errors import CheckpointError
from asr.model.folder import load_model, save_model
from asr.model.model import SpeechModel

LAST = ("first_feed_forward.3", "attention.out", "convolution.out", "second_feed_forward.3", "feed_forward.3")
"""The last layer of each part of a block."""


def deepened(model: SpeechModel, layers: int) -> SpeechModel:
    """A copy with so many encoder blocks, in evaluation mode. Raises CheckpointError where that cannot be."""
    config = model.config.encoder
    if not config.norm_first:
        raise CheckpointError("a block that normalises behind each part changes what it is given, however it ends")
    if layers <= config.layers:
        raise CheckpointError(f"--layers {layers}: must be more than the {config.layers} that the model has")
    wide = replace(model.config, encoder=replace(config, layers=layers))
    deep = SpeechModel(model.log_mel.config, wide, model.decoder.embedding.num_embeddings)
    origins = [place * config.layers // layers for place in range(layers)]
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("encoder.blocks.")}
    for place, origin in enumerate(origins):
        for name, tensor in model.encoder.blocks[origin].state_dict().items():
            state[f"encoder.blocks.{place}.{name}"] = tensor.clone()
    for place, (before, origin) in enumerate(zip(origins, origins[1:], strict=False), 1):
        if before == origin:
            _silence(state, f"encoder.blocks.{place}")
            _plain_norm(state, f"encoder.blocks.{place - 1}.out_norm")
    deep.load_state_dict(state)
    return deep.eval()


def _silence(state: dict[str, torch.Tensor], block: str) -> None:
    for layer in LAST:
        for kind in ("weight", "bias"):
            if (name := f"{block}.{layer}.{kind}") in state:
                state[name].zero_()


def _plain_norm(state: dict[str, torch.Tensor], norm: str) -> None:
    """The norm without gain and bias, which its copy behind it has."""
    if f"{norm}.weight" in state:
        state[f"{norm}.weight"].fill_(1.0)
        state[f"{norm}.bias"].zero_()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("--layers", type=int, required=True, help="encoder blocks of the new one")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(arguments)
    loaded = load_model(options.model)
    header = {key: value for key, value in loaded.metadata.items() if key not in ("golden", "tokens", "dev_cer")}
    save_model(options.out, deepened(loaded.model, options.layers), loaded.tokenizer.table, header)


if __name__ == "__main__":
    main()
