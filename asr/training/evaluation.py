"""Decoding a dev manifest in the middle of training."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance
from asr.corpus.texts import read_references
from asr.errors import AudioError, ManifestError
from asr.files import several_errors
from asr.model.model import SpeechModel
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors, char_errors


@dataclass(frozen=True)
class DevSet:
    """A dev manifest with its audio in memory: it is decoded many times."""

    name: str
    """The manifest's name without suffix, behind those of its folders where another has the same."""
    utterances: list[Utterance]
    """Its utterances."""
    samples: list[np.ndarray]
    """Their audio, (S,) each."""

    def evaluate(self, recognizer: Recognizer) -> CharErrors:
        """Errors of the best hypotheses."""
        results = recognizer.recognize(self.samples)
        return sum(
            (char_errors(u.text, nbest[0].text) for u, nbest in zip(self.utterances, results, strict=True)),
            CharErrors(),
        )


def read_dev_sets(paths: Sequence[str | Path]) -> list[DevSet]:
    """Dev manifests with their audio. Raises ManifestError for the first that is none, AudioError for all that cannot be read."""
    sets, errors = [], []
    for path, name in zip(paths, distinct_names([Path(path).absolute() for path in paths]), strict=True):
        utterances, samples = read_references(path), []
        for u in utterances:
            try:
                samples.append(u.read())
            except AudioError as error:
                errors.append(str(error))
        sets.append(DevSet(name, utterances, samples))
    if errors:
        raise AudioError(several_errors(errors, "dev utterances cannot be read"))
    return sets


def require_window(dev_sets: Sequence[DevSet], model: SpeechModel) -> None:
    """Raises ManifestError for an utterance that is longer than what the model hears at once, if it hears windows."""
    longest = model.longest_samples
    for dev in dev_sets if longest else ():
        for utterance, samples in zip(dev.utterances, dev.samples, strict=True):
            if len(samples) > longest:
                raise ManifestError(
                    f"{utterance.where}: {utterance.id} is {len(samples) / SAMPLE_RATE:.1f} s long, the model hears"
                    f" {longest / SAMPLE_RATE:g} s at once; leave it out of the dev manifest"
                )


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """A name for each: that of the file, behind so many of its folders as it takes to tell it from the others."""
    names = [path.stem for path in paths]
    for depth in range(max((len(path.parts) for path in paths), default=0)):
        counts = Counter(names)
        names = [
            "-".join([*path.parts[1:-1][-depth - 1 :], path.stem]) if counts[name] > 1 else name
            for path, name in zip(paths, names, strict=True)
        ]
    return [f"{name}-{i}" if names.index(name) < i else name for i, name in enumerate(names)]


def dev_errors(dev_sets: list[DevSet], recognizer: Recognizer) -> tuple[CharErrors, dict[str, CharErrors]]:
    """Errors over all dev sets together, and those of each by its name."""
    errors = [dev.evaluate(recognizer) for dev in dev_sets]
    return sum(errors, CharErrors()), {dev.name: e for dev, e in zip(dev_sets, errors, strict=True)}
