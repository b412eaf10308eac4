"""The weighted mean of the weights of models that were trained one from the other.

    python recipes/embedded/averaging.py exp/embedded exp/embedded-start --shares 6 4 --tail 0.5 --out exp/embedded-mean

What the later one has learnt and what the earlier one knew, together (Wortsman et al. 2022, arXiv:2109.01903: WiSE-FT).
`--tail` puts silence behind what is heard: the earlier one, Whisper, has always heard some, and writes short words twice without.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from asr.errors import CheckpointError
from asr.model.folder import WEIGHTS, empty_model, fill_weights, load_model, read_weights, save_model

HEAD = ("ctc.weight", "ctc.bias")
"""What a later model may have and an earlier one not: it stays as it is."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="model folders of one network and token table"
    )
    parser.add_argument("--shares", type=float, nargs="+", help="a weight for each; equal by default")
    parser.add_argument("--tail", type=float, help="seconds of silence behind each utterance; as they are by default")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(arguments)
    shares = options.shares or [1.0] * len(options.models)
    if len(shares) != len(options.models) or not sum(shares) > 0:
        parser.error("--shares: must be as many as the models, and more than nothing")
    loaded = load_model(options.models[0])
    tensors = [read_weights(folder / WEIGHTS)[0] for folder in options.models]
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
    header = {key: value for key, value in loaded.metadata.items() if key not in ("golden", "tokens", "dev_cer")}
    averaged = " ".join(f"{share:g} {folder.name}" for share, folder in zip(shares, options.models, strict=True))
    save_model(options.out, model, loaded.tokenizer.table, header | {"averaged": averaged})


def weighted(parts: list[tuple[Tensor, float]]) -> Tensor:
    """The mean of tensors by their shares."""
    whole = sum(share for _, share in parts)
    return sum(share / whole * tensor.float() for tensor, share in parts)


if __name__ == "__main__":
    main()
