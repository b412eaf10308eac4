"""Who speaks when in a recording that is read as a stream: the networks, and what is kept until its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from asr.audio.speech_probabilities import SpeechNetwork
from asr.errors import AudioError
from asr.speakers.embedding import SpeakerEmbedding, load_speaker_embedding
from asr.speakers.labelling import labels_of
from asr.speakers.linking import people_by_band
from asr.speakers.segmentation import SpeakerSegmentation, load_speaker_segmentation
from asr.speakers.stretches import Stretch, Stretches
from asr.speakers.turns import turns_of
from asr.speakers.wanted import Speakers
from asr.transcript import Turn

KNOWN = 0.35
"""Cosine from which on a voice is that of a person who is known; README.md says how often that is right."""
UNKNOWN = "S"
"""Before the number of one who is not."""


@dataclass(frozen=True)
class Networks:
    """What tells speakers apart; without state, so that one serves any number of recordings."""

    activity: SpeechNetwork
    segmentation: SpeakerSegmentation
    embedding: SpeakerEmbedding

    @classmethod
    def load(cls, activity: SpeechNetwork) -> "Networks":
        """With the installed weights. Raises AsrError where the extra `speakers` is not installed."""
        return cls(activity, load_speaker_segmentation(), load_speaker_embedding())

    def stretches(self) -> Stretches:
        """Those of one stream."""
        return Stretches(self.activity, self.segmentation, self.embedding)


class Diarizer:
    """The speakers of one recording: samples are added as they are read, turns are known at its end.

    What is kept of an hour are some thousand vectors.
    """

    def __init__(self, networks: Networks, wanted: Speakers, voices: Mapping[str, np.ndarray] | None = None):
        """voices: what people who are known sound like, from `voice_of`."""
        self.wanted, self.voices = wanted, dict(voices or {})
        self.stream = networks.stretches()
        self.found: list[Stretch] = []

    def add(self, samples: np.ndarray) -> None:
        """The next samples (S,) at 16 kHz."""
        self.found += self.stream.add(samples)

    def settings(self) -> dict[str, object]:
        """What was asked, as plain values."""
        return {"fewest": self.wanted.fewest, "most": self.wanted.most, "voices": sorted(self.voices)}

    def finish(self) -> tuple[Turn, ...]:
        """The turns of the whole recording, once all samples were added. Those of two people may lie over each other."""
        stretches, labels, centres = self.people()
        order = list(dict.fromkeys(labels))  # as they appear
        names = names_of([centres[k] if len(centres) else None for k in order], self.voices)
        return turns_of(stretches, [order.index(label) for label in labels], names)

    def people(self) -> tuple[list[Stretch], list[int], np.ndarray]:
        """All stretches in order of time, the person of each, and what people sound like (K, BANDS, D)."""
        self.found += self.stream.finish()
        stretches = sorted(self.found, key=lambda stretch: (stretch.start, stretch.voice))
        centres = people_by_band(stretches, self.wanted.fewest, self.wanted.most)
        return stretches, labels_of(stretches, centres), centres


def names_of(centres: Sequence[np.ndarray | None], voices: Mapping[str, np.ndarray], least: float = KNOWN) -> list[str]:
    """A name for each person (BANDS, D): of those who are known the most similar one, each once, or else S1, S2 … in order.

    least: cosine below which somebody is not that voice.
    """
    names: dict[int, str] = {}
    known = list(voices)
    if known and all(centre is not None for centre in centres):
        similar = np.array([[float((centre @ voices[name]).max()) for name in known] for centre in centres])
        for person, voice in zip(*linear_sum_assignment(similar, maximize=True), strict=True):
            if similar[person, voice] >= least:
                names[int(person)] = known[voice]
    others = (f"{UNKNOWN}{n}" for n in range(1, len(centres) + len(known) + 1) if f"{UNKNOWN}{n}" not in voices)
    return [names.get(person) or next(others) for person in range(len(centres))]


def voice_of(networks: Networks, name: str, samples: np.ndarray) -> np.ndarray:
    """What the person in a recording (S,) of this name sounds like: (D,) of length 1. Raises AudioError where nobody speaks."""
    stream = networks.stretches()
    stretches = [*stream.add(samples), *stream.finish()]
    heard = [stretch.vector * stretch.alone for stretch in stretches if stretch.vector is not None]
    if not heard:
        raise AudioError(f"{name}: no speech was found in it that could tell what a voice sounds like")
    vector = np.sum(heard, 0)
    return vector / np.linalg.norm(vector)
