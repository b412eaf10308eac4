"""The weighted mean of the weights of models that were trained one from the other.

    python recipes/embedded/averaging.py exp/embedded exp/embedded-start --shares 6 4 --tail 0.5 --out exp/embedded-mean

What the later one has learnt and what the earlier one knew, together (Wortsman et al. 2022, arXiv:2109.01903: WiSE-FT).
Tokens are matched by their text: those that only the first model has stay as they are there, others are left out.
`--tail` puts silence behind what is heard: the earlier one, Whisper, has always heard some, and writes short words twice without.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from trimming import BY_TOKEN

from asr.errors import CheckpointError
from asr.model.folder import TOKENS, WEIGHTS, empty_model, fill_weights, load_model, read_weights, save_model
from asr.model.storage import OF_THE_NUMBERS
from asr.text.tokenizer import TokenTable

HEAD = ("ctc.weight", "ctc.bias")
"""What a later model may have and an earlier one not: it stays as it is."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="model folders of one network")
    parser.add_argument("--shares", type=float, nargs="+", help="a weight for each; equal by default")
    parser.add_argument("--tail", type=float, help="seconds of silence behind each utterance; as they are by default")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(arguments)
    shares = options.shares or [1.0] * len(options.models)
    if len(shares) != len(options.models) or not sum(shares) > 0:
        parser.error("--shares: must be as many as the models, and more than nothing")
    loaded = load_model(options.models[0])
    tensors = [read_weights(folder / WEIGHTS)[0] for folder in options.models]
    tables = [TokenTable.load(folder / TOKENS) for folder in options.models]
    tensors = [in_the_order_of(tables[0], tensors[0], t, table) for t, table in zip(tensors, tables, strict=True)]
    shapes = {name: tensor.shape for name, tensor in tensors[0].items()}
    for folder, other in zip(options.models, tensors, strict=True):
        lacking = shapes.keys() - other.keys()
        if lacking - set(HEAD) or {name: t.shape for name, t in other.items()} != {
            n: shapes[n] for n in shapes.keys() - lacking
        }:
            raise CheckpointError(f"{folder}: is another network than {options.models[0]}")
    mean = {
        name: weighted([(t[name], w) for t, w in zip(tensors, shares, strict=True) if name in t]) for name in shapes
    }
    model = loaded.model
    if options.tail is not None:
        features = replace(model.log_mel.config, tail_seconds=options.tail)
        model = empty_model(features, model.config, len(loaded.tokenizer.table)).eval()
    fill_weights(model, mean, options.out / WEIGHTS)
    header = {key: value for key, value in loaded.metadata.items() if key not in (*OF_THE_NUMBERS, "dev_cer")}
    averaged = " ".join(f"{share:g} {folder.name}" for share, folder in zip(shares, options.models, strict=True))
    save_model(options.out, model, loaded.tokenizer.table, header | {"averaged": averaged})


def in_the_order_of(
    wanted: TokenTable, first: dict[str, Tensor], tensors: dict[str, Tensor], table: TokenTable
) -> dict[str, Tensor]:
    """Tensors of a model of `table` with the rows of the tokens of `wanted`; those that `table` lacks are the first model's."""
    if table.tokens == wanted.tokens:
        return tensors
    known = [(i, table.ids[token]) for i, token in enumerate(wanted.tokens) if token in table.ids]
    here, there = (torch.tensor(ids) for ids in zip(*known, strict=True))
    moved = {}
    for name in {*BY_TOKEN, "decoder.out.weight"} & tensors.keys():
        moved[name] = first[name].float().clone()
        moved[name][here] = tensors[name][there].float()
    return tensors | moved


def weighted(parts: list[tuple[Tensor, float]]) -> Tensor:
    """The mean of tensors by their shares."""
    whole = sum(share for _, share in parts)
    return sum(share / whole * tensor.float() for tensor, share in parts)


if __name__ == "__main__":
    main()
