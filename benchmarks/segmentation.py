"""What voice activity keeps and drops, and what cutting costs: invented text, lost speech, CER of joined recordings.

    python benchmarks/segmentation.py dev.tsv --kind sentence

The TSV has the columns audio (relative to it) and text, and may have kind.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import read_samples  # noqa: E402
from asr.audio.speech_probabilities import WINDOW, SpeechProbabilities  # noqa: E402
from asr.scoring.cer import CharErrors, char_errors  # noqa: E402
from asr.transcription.segmenting import SegmentConfig  # noqa: E402
from asr.transcription.transcriber import Transcriber, load  # noqa: E402
from tests.sounds import hum, music, noise, silence  # noqa: E402

SNR_DB = 10
CLIPS_PER_RECORDING = 11
SOUNDS = {"silence": silence, "white noise": noise, "hum": hum, "music": music}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a TSV of clips")
    parser.add_argument(
        "--kind", default="sentence", help="clips of this kind are joined; all are checked for speech kept"
    )
    parser.add_argument("--model", default="", help="a model folder or name; embedded by default")
    parser.add_argument("--minutes", type=float, default=10, help="of each sound without speech")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=SECONDS", help="a setting of the segments")
    parser.add_argument("--joined-only", action="store_true", help="leave out the sounds without speech")
    options = parser.parse_args()
    with open(options.table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    clips = [read_samples(options.table.parent / row["audio"]) for row in rows]
    transcriber = load(options.model)
    changes = dict(change.split("=") for change in options.set)
    transcriber.segments = SegmentConfig(**{name: float(value) for name, value in changes.items()})
    if not options.joined_only:
        report_activity(transcriber, rows, clips, 60 * options.minutes)
    chosen = [(c, r["text"]) for c, r in zip(clips, rows, strict=True) if r.get("kind", options.kind) == options.kind]
    whole = [nbest[0].text for nbest in transcriber.recognizer.recognize([clip for clip, _ in chosen])]
    print(f"clips, decoded whole: {errors_of(whole, [text for _, text in chosen])}", flush=True)
    for seed in range(3):
        print(f"joined, order {seed}: {joined(transcriber, chosen, seed)}", flush=True)


def report_activity(transcriber: Transcriber, rows: list[dict], clips: list[np.ndarray], seconds: float) -> None:
    """What is found where nobody speaks, in the clips, and in the clips in noise."""
    for name, make in SOUNDS.items():
        text = transcriber.transcribe((make(seconds), 16000)).text
        print(f"{seconds / 60:g} minutes of {name}: {len(text)} characters", flush=True)
    empty = [r["audio"] for r, c in zip(rows, clips, strict=True) if not transcriber.transcribe((c, 16000)).text]
    print(f"clips without a text: {len(empty)} of {len(clips)} {' '.join(empty)}", flush=True)
    for name in ("white noise", "hum", "music"):
        print(f"{name} at {SNR_DB} dB: {kept(transcriber, clips, SOUNDS[name](600))}", flush=True)


def kept(transcriber: Transcriber, clips: list[np.ndarray], sound: np.ndarray) -> str:
    """Share of the speech of the clips that is in a segment when `sound` is mixed in.

    Speech is what voice activity finds in the clean clip, and, to ask somebody else too, every 32 ms there that are less
    than 35 dB below the loudest.
    """
    random = np.random.default_rng(1)
    found = dict.fromkeys(("activity", "energy"), 0)
    total = dict.fromkeys(found, 0)
    lost = 0
    for clip in clips:
        padded = np.concatenate([silence(1), clip, silence(1 + -len(clip) % WINDOW / 16000)])
        active = SpeechProbabilities(transcriber.voice_activity).add(padded) > 0.5
        windows = padded[: len(active) * WINDOW].reshape(-1, WINDOW)
        decibels = 10 * np.log10(np.square(windows).mean(1) + 1e-12)
        near = np.convolve(active, np.ones(13), "same") > 0
        speech = {"activity": active, "energy": near & (decibels > np.quantile(decibels[active], 0.98) - 35)}
        first = random.integers(0, len(sound) - len(padded))
        mixed = sound[first : first + len(padded)]
        power = np.square(windows[speech["energy"]]).mean() / 10 ** (SNR_DB / 10)
        mixed = padded + mixed * np.float32(np.sqrt(power / np.square(mixed).mean()))
        inside = np.zeros(len(active), bool)
        pieces = [piece for _, piece in transcriber.open((mixed, 16000)).pieces()]
        for piece in pieces:
            inside[piece.first // WINDOW : -(-(piece.first + len(piece.samples)) // WINDOW)] = True
        lost += not pieces
        for name, where in speech.items():
            found[name] += int((where & inside).sum())
            total[name] += int(where.sum())
    shares = ", ".join(f"{100 * found[n] / total[n]:.2f} % of {total[n] * WINDOW / 16000:.0f} s by {n}" for n in found)
    return f"kept {shares}; clips with nothing found: {lost}"


def joined(transcriber: Transcriber, clips: list[tuple[np.ndarray, str]], seed: int) -> str:
    """CER of recordings made of clips in a random order with pauses of 0.3 to 2 s."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(clips))
    recordings, texts = [], []
    for first in range(0, len(order), CLIPS_PER_RECORDING):
        parts, text = [silence(0.5)], ""
        for i in order[first : first + CLIPS_PER_RECORDING]:
            parts += [clips[i][0], silence(random.uniform(0.3, 2))]
            text += clips[i][1]
        recordings.append((np.concatenate(parts), 16000))
        texts.append(text)
    transcripts = [transcript for _, transcript in transcriber.transcribe_all(recordings)]
    lengths = [segment.end - segment.start for transcript in transcripts for segment in transcript.segments]
    return f"{errors_of([t.text for t in transcripts], texts)}; {len(lengths)} pieces, longest {max(lengths):.1f} s"


def errors_of(texts: list[str], references: list[str]) -> CharErrors:
    return sum((char_errors(r, t) for r, t in zip(references, texts, strict=True)), CharErrors())


if __name__ == "__main__":
    main()
