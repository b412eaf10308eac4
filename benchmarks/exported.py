"""Models exported as ONNX files beside what they were: our greedy search, ours on ONNX Runtime, sherpa-onnx; in one run.

    python benchmarks/exported.py data/embedded/dev_sentences.jsonl --model embedded --model exp/whisper-base \\
        --random transformer --random conformer --most 50

Each model is exported into a temporary folder, once for each `--dtype`, and put into a table of benchmarks/programs.py: CER,
seconds, memory, and how many texts are those of our own search in PyTorch. `--random`: AISHELL-1's shape with random weights,
whose texts mean nothing; where no end is found each program has a length limit of its own.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import programs  # noqa: E402

from asr.catalogue.exporting import export_onnx  # noqa: E402
from asr.model.folder import save_model  # noqa: E402
from asr.model.model import SpeechModel  # noqa: E402
from asr.text.tokenizer import TokenTable  # noqa: E402
from asr.training.config import load_config  # noqa: E402

CHARACTERS, FIRST_CHARACTER = 4228, 0x4E00
RECIPES = {"transformer": "base.toml", "conformer": "conformer.toml"}
EASIER_END = 2.0
"""What is added to the logit of the end, or no text of random weights ever ends."""


def random_model(kind: str, folder: Path) -> None:
    """Writes a model of AISHELL-1's shape with random weights."""
    torch.manual_seed(0)
    config = load_config(programs.ROOT / "recipes/aishell" / RECIPES[kind])
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *(chr(FIRST_CHARACTER + i) for i in range(CHARACTERS))])
    model = SpeechModel(config.features, config.model, len(table)).eval()
    with torch.no_grad():
        torch.nn.init.normal_(model.decoder.out.bias, std=0.5)
        model.decoder.out.bias[table.eos] += EASIER_END
    model.cmvn.mean.fill_(11.0)
    model.cmvn.inverse_std.fill_(0.25)
    save_model(folder, model, table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", help="a JSONL manifest with transcripts")
    parser.add_argument("--model", action="append", default=[], help="a model folder or name; may be repeated")
    parser.add_argument("--random", action="append", default=[], choices=RECIPES, help="may be repeated")
    parser.add_argument("--dtype", action="append", default=[], help="default: float32 and int8")
    parser.add_argument("--most", type=int, default=50, help="utterances, evenly from the manifest")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        models = list(options.model)
        for kind in options.random:
            random_model(kind, Path(work) / kind)
            models.append(str(Path(work) / kind))
        for number, model in enumerate(models):
            arguments = [options.manifest, "--most", str(options.most), "--threads", str(options.threads)]
            arguments += ["--greedy", model]
            for dtype in options.dtype or ["float32", "int8"]:
                folder = str(Path(work) / f"{number}-{dtype}")
                exported = export_onnx(model, folder, dtype)
                print(f"{model} in {dtype}: {exported.size / 1e6:.1f} MB", flush=True)
                arguments += ["--sherpa", folder, "--onnx", f"{folder}:greedy"]
            # a process of its own: the memory of this one would count as that of its children
            subprocess.run([sys.executable, programs.__file__, *arguments], check=True)


if __name__ == "__main__":
    main()
