"""What each augmentation does to the CER of the toy language: on recordings as they are, and on changed ones.

    python benchmarks/augmentations.py --out exp/augmentations
    python benchmarks/augmentations.py --out exp/augmentations --only none --only speeds

Every row is a run of recipes/toy/base.toml from random weights with one augmentation and no other: few sentences, few steps, one
seed (two more of "none" show what chance alone does). The dev sentences choose nothing: the last weights are decoded,
greedily. They are changed on their samples: by other means than those of training, but for `speeds` and `noise_folder`, where
factors and seeds differ. Rows that are finished are kept in OUT/results.json, and a run that was interrupted goes on.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import soxr
import torch

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import read_manifest
from asr.corpus.toy import prepare_toy
from asr.decoding.decode_config import DecodeConfig
from asr.errors import AsrError
from asr.files import atomic_write
from asr.model.folder import load_model
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors, char_errors
from asr.training.config import load_config
from asr.training.loop import train

ROOT = Path(__file__).parents[1]
ROWS = {
    "none": [],
    "none, seed 2": ["train.seed=2"],
    "none, seed 3": ["train.seed=3"],
    "speeds": ["augment.speeds=[0.9, 1.0, 1.1]"],
    "tempo": ["augment.tempo=0.2"],
    "frequency_warp": ["augment.frequency_warp=0.15"],
    "pitch": ["augment.pitch=0.5"],
    "volume": ["augment.volume=0.5"],
    "equalizer": ["augment.equalizer=0.3"],
    "noise": ["augment.noise=0.5"],
    "noise_folder": ["augment.noise=0.5", 'augment.noise_folder="{noises}"'],
    "reverberation": ["augment.reverberation=0.5"],
    "telephone": ["augment.telephone=0.5"],
    "frequency_masks": ["augment.frequency_masks=2", "augment.frequency_width=12"],
    "time_masks": ["augment.time_masks=2", "augment.time_width=10"],
    "join": ["data.join=0.5"],
}
"""Name → settings."""
MEANT_FOR = {
    "speeds": "fast",
    "tempo": "fast",
    "frequency_warp": "fast",
    "pitch": "fast",
    "volume": "soft",
    "equalizer": "thin",
    "noise": "hiss",
    "noise_folder": "gusts",
    "reverberation": "hall",
    "telephone": "phone",
    "join": "long",
}
"""Row → the column where it should help."""
Changed = tuple[list[np.ndarray], list[str]]


def each(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Callable[..., Changed]:
    """A change of every recording that leaves the texts as they are, with random numbers that are always the same."""

    def changed(samples: list[np.ndarray], texts: list[str]) -> Changed:
        random = np.random.default_rng(7)
        return [change(x, random).astype(np.float32) for x in samples], texts

    return changed


def beside(samples: np.ndarray, noise: np.ndarray, decibels: float = 10.0) -> np.ndarray:
    """Noise that has so many decibels less power."""
    return samples + noise * np.sqrt((samples**2).mean() / (noise**2).mean()) * 10 ** (-decibels / 20)


def hiss(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return beside(samples, random.normal(size=len(samples)))


def gusts(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return beside(samples, gusty(len(samples), random))


def gusty(n: int, random: np.random.Generator) -> np.ndarray:
    """Low noise that swells and ebbs several times a second."""
    swell = scipy.signal.sosfilt(scipy.signal.butter(2, 4, fs=SAMPLE_RATE, output="sos"), random.normal(size=n))
    return np.exp(1.5 * swell / swell.std()) * scipy.signal.lfilter([1], [1, -0.9], random.normal(size=n))


def hall(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An echo of as much power as the sound itself, which falls by 60 dB in 0.4 s."""
    n = SAMPLE_RATE // 2
    room = random.normal(size=n) * 10 ** (-3 * np.arange(n) / (0.4 * SAMPLE_RATE))
    room /= np.linalg.norm(room)
    room[0] = 1.0
    return scipy.signal.fftconvolve(samples, room)[: len(samples)]


def phone(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Through 8 kHz, without what is below 300 Hz."""
    low = scipy.signal.butter(4, 300, "highpass", fs=SAMPLE_RATE, output="sos")
    narrow = soxr.resample(scipy.signal.sosfilt(low, samples), SAMPLE_RATE, 8000)
    return soxr.resample(narrow, 8000, SAMPLE_RATE)


def two_by_two(samples: list[np.ndarray], texts: list[str]) -> Changed:
    """Each two sentences as one."""
    joined = [np.concatenate(pair) for pair in zip(samples[::2], samples[1::2], strict=True)]
    return joined, [a + b for a, b in zip(texts[::2], texts[1::2], strict=True)]


COLUMNS: dict[str, Callable[..., Changed]] = {
    "as it is": lambda samples, texts: (samples, texts),
    "fast": each(lambda x, _: soxr.resample(x, 1.2 * SAMPLE_RATE, SAMPLE_RATE)),
    "soft": each(lambda x, _: x / 10),
    "thin": each(lambda x, _: scipy.signal.lfilter([1, -0.9], [1], x)),
    "hiss": each(hiss),
    "gusts": each(gusts),
    "hall": each(hall),
    "phone": each(phone),
    "long": two_by_two,
}
"""Name → what is done to the dev recordings."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and their results")
    parser.add_argument(
        "--only", action="append", choices=ROWS, metavar="ROW", help=f"one of {', '.join(ROWS)}; may be repeated"
    )
    parser.add_argument("--steps", type=int, default=700, help="of training in each run (default: %(default)s)")
    parser.add_argument("--train", type=int, default=600, help="sentences to train on")
    parser.add_argument("--dev", type=int, default=200, help="sentences to decode, an even number")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.dev % 2:
        parser.error(f"--dev must be even: two recordings are joined to one; is {options.dev}")
    torch.set_num_threads(options.threads)
    size = {name: getattr(options, name) for name in ("steps", "train", "dev")}
    results = read_results(options.out / "results.json", size)
    write_results(options.out / "results.json", size, results)  # what is made from here on is of this size
    prepare(options.out, options.train, options.dev)
    for row in options.only or ROWS:
        if row not in results:
            results[row] = measure(row, options.out, options.steps)
            write_results(options.out / "results.json", size, results)
    for line in table(results):
        print(line)


def read_results(path: Path, size: dict[str, int]) -> dict[str, dict[str, float]]:
    """Row → column → CER of the rows that are finished. Raises AsrError where they are of another size."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["size"] != size:
        raise AsrError(f"{path}: was measured with {found['size']}, not {size}; choose another --out")
    return found["cer"]


def write_results(path: Path, size: dict[str, int], results: dict[str, dict[str, float]]) -> None:
    """Keeps what read_results reads."""
    with atomic_write(path) as file:
        json.dump({"size": size, "cer": results}, file, indent=1)


def prepare(out: Path, n_train: int, n_dev: int) -> None:
    """The toy corpus, and recordings of noise that are not those of the dev column."""
    if (out / "toy/dev.jsonl").exists():
        return
    (out / "noises").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    for number in range(6):
        noise = gusty(10 * SAMPLE_RATE, random)
        soundfile.write(out / f"noises/{number}.wav", 0.3 * noise / abs(noise).max(), SAMPLE_RATE)
    prepare_toy(out / "toy", n_train, n_dev, 1)


def measure(row: str, out: Path, steps: int) -> dict[str, float]:
    """Trains a row and decodes every column: its CER."""
    settings = [f"data.{name}={json.dumps([str(out / f'toy/{name}.jsonl')])}" for name in ("train", "dev")]
    settings += ["augment.frequency_masks=0", f"train.max_steps={steps}", f"train.evaluate_every={steps}"]
    settings += ["train.average=1", "train.average_of=last", "train.checkpoint_every=100", "train.health_every=0"]
    settings += [setting.replace("{noises}", str(out / "noises")) for setting in ROWS[row]]
    run = train(load_config(ROOT / "recipes/toy/base.toml", settings), out / row.replace(", ", "-").replace(" ", "-"))
    loaded = load_model(run)
    recognizer = Recognizer(loaded.model, loaded.tokenizer, DecodeConfig(beam=1))
    utterances = read_manifest(out / "toy/dev.jsonl")
    recorded, said = [u.read() for u in utterances], [u.text for u in utterances]
    found = {}
    for column, change in COLUMNS.items():
        samples, texts = change(recorded, said)
        heard = [nbest[0].text for nbest in recognizer.recognize(samples)]
        found[column] = sum(map(char_errors, texts, heard), CharErrors()).cer
    return found


def table(results: dict[str, dict[str, float]]) -> list[str]:
    """The CERs in %, in Markdown; bold where a row should help."""
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row in ROWS:
        if row in results:
            cells = [f"{100 * results[row][column]:.1f}" for column in COLUMNS]
            cells = [f"**{c}**" if MEANT_FOR.get(row) == name else c for name, c in zip(COLUMNS, cells, strict=True)]
            lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
