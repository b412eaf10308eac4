"""The weighted mean of the weights of models that were trained one from the other.

    python recipes/embedded/averaging.py exp/embedded-sixth exp/embedded-fifth --out exp/embedded-mean

What the later one has learnt and what the earlier one knew, together (Wortsman et al. 2022, arXiv:2109.01903: WiSE-FT).
"""

import argparse
from pathlib import Path

from asr.errors import CheckpointError
from asr.model.folder import WEIGHTS, fill_weights, load_model, read_weights, save_model


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="model folders of one network and token table"
    )
    parser.add_argument("--shares", type=float, nargs="+", help="a weight for each; equal by default")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(arguments)
    shares = options.shares or [1.0] * len(options.models)
    if len(shares) != len(options.models) or not sum(shares) > 0:
        parser.error("--shares: must be as many as the models, and more than nothing")
    loaded = load_model(options.models[0])
    tensors = [read_weights(folder / WEIGHTS)[0] for folder in options.models]
    for folder, other in zip(options.models, tensors, strict=True):
        if {name: t.shape for name, t in other.items()} != {name: t.shape for name, t in tensors[0].items()}:
            raise CheckpointError(f"{folder}: is another network than {options.models[0]}")
    mean = {
        name: sum(share / sum(shares) * each[name].float() for share, each in zip(shares, tensors, strict=True))
        for name in tensors[0]
    }
    fill_weights(loaded.model, mean, options.out / WEIGHTS)
    header = {key: value for key, value in loaded.metadata.items() if key not in ("golden", "tokens", "dev_cer")}
    averaged = " ".join(f"{share:g} {folder.name}" for share, folder in zip(shares, options.models, strict=True))
    save_model(options.out, loaded.model, loaded.tokenizer.table, header | {"averaged": averaged})


if __name__ == "__main__":
    main()
