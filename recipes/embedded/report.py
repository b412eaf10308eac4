"""The table of the model card: CER per dev source, sentences and words apart, with the audio as it is and swapped.

    python recipes/embedded/report.py MODEL data/embedded [--beam N]

Half of the dev sentences are one speaker, S0913: she stands apart, and the others are also given as a mean over speakers.
"""

import argparse
import json
import tempfile
from pathlib import Path

from asr.catalogue.opening import Decoding
from asr.evaluation.evaluate import evaluate

APART = "S0913"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder or name")
    parser.add_argument("data", type=Path, help="the folder that prepare.py wrote")
    parser.add_argument("--beam", type=int, help="the model's own by default")
    options = parser.parse_args(arguments)
    print("| dev set | characters | CER | S, D, I | CER with the audio swapped |\n|---|---|---|---|---|")
    for manifest in ("dev_sentences", "dev_words"):
        as_it_is, swapped = (
            evaluated(options.model, options.data / f"{manifest}.jsonl", options.beam, swap) for swap in (False, True)
        )
        print(row(f"**{manifest}**", as_it_is, swapped))
        for group in ("licence", "speaker"):
            for value, errors in as_it_is["by"][group].items():
                if group == "licence" or value == APART:
                    print(row(f"{manifest}: {value}", errors, swapped["by"][group][value]))
        print(mean_row(manifest, as_it_is["by"]["speaker"], swapped["by"]["speaker"]))


def evaluated(model: str, manifest: Path, beam: int | None, swap_audio: bool) -> dict:
    """What `asr evaluate` writes to result.json."""
    with tempfile.TemporaryDirectory() as folder:
        by = ("licence", "speaker")
        settings = {} if beam is None else {"beam": beam}
        evaluate(Decoding(model, settings), manifest, out=folder, by=by, swap_audio=swap_audio)
        return json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))


def row(name: str, errors: dict, swapped: dict) -> str:
    """One line of the table."""
    counts = ", ".join(f"{errors[kind]:,}" for kind in ("substitutions", "deletions", "insertions"))
    return f"| {name} | {errors['reference']:,} | {percent(errors['cer'])} | {counts} | {percent(swapped['cer'])} |"


def mean_row(manifest: str, speakers: dict[str, dict], swapped: dict[str, dict]) -> str:
    """The mean over all speakers but the one that stands apart."""
    others = [name for name in speakers if name != APART]
    mean, mean_swapped = (sum(by[name]["cer"] for name in others) / len(others) for by in (speakers, swapped))
    return f"| {manifest}: mean over {len(others)} speakers | | {percent(mean)} | | {percent(mean_swapped)} |"


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


if __name__ == "__main__":
    main()
