"""What a user waits for: commands that start, a short recording, scores, a report page, speech that is being spoken.

    python benchmarks/start_up.py               # everything; or some of: help clip voice_activity score page live

Each is done three times, and the least is printed: the machine may be busy. Nothing is judged here.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import read_samples  # noqa: E402
from asr.audio.speech_probabilities import WINDOW, SpeechProbabilities  # noqa: E402
from asr.audio.voice_activity import load_voice_activity  # noqa: E402

ASR = (sys.executable, "-m", "asr")
CLIP = ROOT / "data/sample/weather.flac"
TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"some of {', '.join(MEASURED)}; all by default")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - MEASURED.keys():
        parser.error(f"{', '.join(sorted(unknown))}: is not measured here; {', '.join(MEASURED)} are")
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.what or MEASURED:
            MEASURED[name](Path(folder))


def seconds(function: Callable[[], object]) -> float:
    """The least of a few times."""
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def run(*arguments: object) -> None:
    subprocess.run(list(map(str, arguments)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def start(folder: Path) -> None:
    print(f"asr --help                                   {seconds(lambda: run(*ASR, '--help')):6.2f} s")
    print(f"python -c 'import torch'                     {seconds(lambda: run(*ASR[:1], '-c', 'import torch')):6.2f} s")


def clip(folder: Path) -> None:
    ten = np.resize(read_samples(CLIP), 160_000)
    soundfile.write(folder / "ten.wav", ten, 16000)
    took = seconds(lambda: run(*ASR, "transcribe", folder / "ten.wav"))
    print(f"asr transcribe, ten seconds, start-up included {took:4.2f} s")


def voice_activity(folder: Path) -> None:
    """A minute of noise, beside silero-vad's own network, which is called for one window after the other."""
    network = load_voice_activity()
    theirs = torch.jit.load(Path(find_spec("silero_vad").submodule_search_locations[0]) / "data/silero_vad.jit")
    samples = np.random.default_rng(0).normal(0, 0.1, 60 * 16000).astype(np.float32)

    def package() -> None:
        with torch.inference_mode():
            for first in range(0, len(samples) - WINDOW + 1, WINDOW):
                theirs(torch.from_numpy(samples[first : first + WINDOW]), 16000)

    ours, package_took = seconds(lambda: SpeechProbabilities(network).add(samples)), seconds(package)
    print(f"voice activity of a minute {ours:.2f} s; the package itself {package_took:.2f} s")


def texts(n: int, lengths: tuple[int, int], wrong: float) -> tuple[list[str], list[str]]:
    """n random references, and hypotheses in which so many characters are others."""
    source = random.Random(0)
    common = [chr(0x4E00 + code) for code in range(3000)]
    references = ["".join(source.choices(common, k=source.randint(*lengths))) for _ in range(n)]
    guesses = ["".join(c if source.random() > wrong else source.choice(common) for c in text) for text in references]
    return references, guesses


def write_texts(folder: Path, lines: tuple[list[str], list[str]]) -> tuple[Path, Path]:
    paths = folder / "ref", folder / "hyp"
    for path, side in zip(paths, lines, strict=True):
        path.write_text("".join(f"u{n:06} {text}\n" for n, text in enumerate(side)), encoding="utf-8")
    return paths


def score(folder: Path) -> None:
    files = write_texts(folder, texts(100_000, (15, 15), 0.05))
    print(f"asr score, 100,000 utterances of 15 characters {seconds(lambda: run(*ASR, 'score', *files)):4.2f} s")


def page(folder: Path) -> None:
    files, html = write_texts(folder, texts(7176, (5, 25), 0.06)), folder / "report.html"
    took = seconds(lambda: run(*ASR, "score", *files, "--html", html, "--force"))
    print(f"asr score --html, 7,176 utterances {took:.2f} s, {html.stat().st_size / 1e6:.2f} MB")


def live(folder: Path) -> None:
    """Speech piped in as fast as it is spoken: a second of silence, a sentence, a second and a half of silence."""
    speech = read_samples(CLIP)
    samples = np.concatenate([np.zeros(16000, np.float32), speech, np.zeros(24000, np.float32)])
    printed = in_real_time(samples)
    first = min(at for at, state in printed if state["text"])
    final = min(at for at, state in printed if state["final"])
    ends = 1 + len(speech) / 16000
    print(f"live: first text {first - 1:.2f} s after the sentence begins, final {final - ends:.2f} s after it ends")


def in_real_time(samples: np.ndarray) -> list[tuple[float, dict]]:
    """(seconds since the first sample was sent, state) of what `asr live -` prints."""
    pipe = subprocess.PIPE
    command = [*ASR, "live", "-", "--format", "json"]
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        process.stderr.readline()  # it listens
        printed: list[tuple[float, dict]] = []
        started = time.monotonic()

        def read() -> None:
            for line in process.stdout:
                printed.append((time.monotonic() - started, json.loads(line)))

        reader = threading.Thread(target=read)
        reader.start()
        pcm = (samples * 32767).astype("<i2")
        for first in range(0, len(pcm), 800):
            time.sleep(max(0.0, started + (first + 800) / 16000 - time.monotonic()))  # it is sent when it has been said
            process.stdin.write(pcm[first : first + 800].tobytes())
            process.stdin.flush()
        process.stdin.close()
        reader.join()
    return printed


MEASURED = {"help": start, "clip": clip, "voice_activity": voice_activity, "score": score, "page": page, "live": live}

if __name__ == "__main__":
    main()
