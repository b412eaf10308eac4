"""How much of what is said voice activity finds where it is faint, noisy or comes through a telephone.

    python benchmarks/faint.py CLIPS…
    python benchmarks/faint.py --texts data/embedded/dev_sentences.jsonl [--model MODEL]    # how much of it is recognised

CLIPS are recordings of speech, a sentence each. What counts as speech is what the network finds in the clip where it is loud: the
loudest tenth of it at -20 dB of full scale. Printed for each condition: the share of it that is found by the network alone and
in what the program makes louder, the least of any clip in brackets; and of what is no speech, the share that is taken for some.
With a manifest the CER of its recordings as a whole is printed in their place, with noise of 20 dB and at each level.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from asr.audio.reading import read_samples
from asr.audio.speech_probabilities import CONTEXT, WINDOW
from asr.audio.voice_activity import VoiceActivity, load_voice_activity
from asr.corpus.manifest import read_manifest
from asr.features.telephone import telephone
from asr.scoring.cer import CharErrors, char_errors
from asr.transcription.segmenting import speech_in
from asr.transcription.transcriber import load

SPEECH = 0.5
"""Probability from which on a window is speech."""
LOUD = -20.0
"""dB of full scale of the loudest tenth of a clip."""
LEVELS = (-10.0, -30.0, -40.0, -50.0, -60.0)
NOISE, HEARD_AT = 20.0, (-20.0, -40.0, -50.0, -60.0, -74.0)
"""What recordings are recognised with and at."""
NOISES = ((20.0, LOUD), (10.0, LOUD), (10.0, -40.0), (5.0, -40.0))
"""Signal to noise in dB, and how loud the sum is."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="*", help="recordings of a sentence each")
    parser.add_argument("--texts", type=Path, metavar="MANIFEST", help="recordings with their texts, to recognise")
    parser.add_argument("--model", default="", help="a model folder or name (default: the embedded one)")
    options = parser.parse_args(arguments)
    if bool(options.clips) == bool(options.texts):
        parser.error("give either CLIPS or --texts MANIFEST")
    torch.set_num_threads(1)
    if options.texts:
        recognise(options.texts, options.model)
        return
    network, clips = load_voice_activity(), [whole_windows(read_samples(path)) for path in options.clips]
    speech = [alone(network, at_level(clip, LOUD)) for clip in clips]
    print(
        f"{len(clips)} clips of {sum(map(len, clips)) / 16000:.0f} s\n\n| | network alone | no speech | made louder | no speech |"
    )
    print("|---|---|---|---|---|")
    for name, changed in conditions().items():
        made = [changed(clip).astype(np.float32) for clip in clips]
        shares = [
            row(speech, [hears(network, clip) for clip in made])
            for hears in (alone, lambda network, clip: speech_in(network, clip) > SPEECH)
        ]
        print(f"| {name} | {' | '.join(shares)} |", flush=True)


def recognise(manifest: Path, model: str) -> None:
    """Prints the CER of whole recordings at each level, without voice activity."""
    recognizer, random = load(model, "cpu").recognizer, np.random.default_rng(0)
    utterances = list(read_manifest(manifest))
    clips = [noisy(whole_windows(u.read()), NOISE, random) for u in utterances]
    print(f"{len(clips)} recordings with noise of {NOISE:g} dB\n\n| | CER |\n|---|---|")
    for level in HEARD_AT:
        made = [at_level(clip, level).astype(np.float32) for clip in clips]
        found = [nbest[0].text for nbest in recognizer.recognize(made)]
        errors = sum((char_errors(u.text, text) for u, text in zip(utterances, found, strict=True)), CharErrors())
        print(f"| {level:g} dB | {100 * errors.cer:.2f} % |", flush=True)


def conditions() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """What is done to a clip, by name."""
    random = np.random.default_rng(0)
    levels = {f"{level:g} dB": lambda clip, level=level: at_level(clip, level) for level in LEVELS}
    noises = {
        f"noise of {snr:g} dB, {level:g} dB": lambda clip, snr=snr, level=level: at_level(
            noisy(clip, snr, random), level
        )
        for snr, level in NOISES
    }
    lines = {
        f"telephone{name}": lambda clip, level=level: through_telephone(clip, level)
        for name, level in (("", None), (", -40 dB", -40.0))
    }
    return {"as it is": lambda clip: clip} | levels | noises | lines


def whole_windows(samples: np.ndarray) -> np.ndarray:
    return samples[: len(samples) // WINDOW * WINDOW]


def alone(network: VoiceActivity, samples: np.ndarray) -> np.ndarray:
    """For each window whether the network takes it for speech, however loud it is."""
    found, _ = network.probabilities(np.pad(samples.astype(np.float32), (CONTEXT, 0)), network.start())
    return found > SPEECH


def at_level(samples: np.ndarray, decibels: float) -> np.ndarray:
    """The loudest tenth of the windows as loud as that."""
    powers = np.sort(np.square(samples.reshape(-1, WINDOW)).mean(1))
    return samples * np.sqrt(10 ** (decibels / 10) / powers[-max(1, len(powers) // 10) :].mean())


def noisy(samples: np.ndarray, snr: float, random: np.random.Generator) -> np.ndarray:
    """With noise that falls by 6 dB an octave beside the loudest tenth."""
    spectrum = np.fft.rfft(random.standard_normal(len(samples)))
    noise = np.fft.irfft(spectrum / np.sqrt(1 + (np.fft.rfftfreq(len(samples), 1 / 16000) / 1000) ** 2), len(samples))
    return at_level(samples, 0.0) + noise / noise.std() * 10 ** (-snr / 20)


def through_telephone(samples: np.ndarray, level: float | None) -> np.ndarray:
    torch.manual_seed(len(samples))  # of each clip another band
    heard = telephone(torch.from_numpy(at_level(samples, LOUD).astype(np.float32))[None], 1.0)[0].numpy()
    return heard if level is None else at_level(heard, level)


def row(speech: list[np.ndarray], found: list[np.ndarray]) -> str:
    shares = [(f & s).sum() / max(s.sum(), 1) for s, f in zip(speech, found, strict=True)]
    false = [(f & ~s).sum() / max((~s).sum(), 1) for s, f in zip(speech, found, strict=True)]
    return f"{100 * np.mean(shares):.1f} % ({100 * np.min(shares):.0f}) | {100 * np.mean(false):.1f} %"


if __name__ == "__main__":
    main()
