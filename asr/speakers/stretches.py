"""A stream of audio as stretches of speech, each of one voice, and what each of them sounds like.

Voice activity says where there is speech; the segmentation, in windows that overlap by half, where one voice ends and another
begins and where two speak at once. Of each window its middle counts, for which it knows what comes before and after.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from asr.audio.reading import SAMPLE_RATE
from asr.audio.speech_probabilities import WINDOW as ACTIVITY
from asr.audio.speech_probabilities import SpeechNetwork, SpeechProbabilities
from asr.speakers.bands import centred, is_narrow, vector_of
from asr.speakers.embedding import FEATURES, SpeakerEmbedding, mel_features
from asr.speakers.segmentation import FIRST_MIDDLE, FRAME, SPEAKERS, WINDOW, SpeakerSegmentation, n_frames

STEP_FRAMES = 296
"""Frames from one window to the next, 5 s: about half a window."""
STEP = STEP_FRAMES * FRAME
MARGIN = 147
"""Frames of a window before its middle."""
SPEECH, SILENCE = 0.5, 0.35
"""Probabilities at which speech begins, and until which it goes on."""
PAUSE = 0.1
"""Seconds of silence that end a stretch: whoever speaks next may be another one."""
LONGEST = 2.0
"""Seconds of a stretch at most; longer ones are divided."""
LEAST_ALONE = 0.3
"""Seconds that somebody must speak alone for it to be heard what they sound like."""
SHORTEST_WINDOW = 2000
"""Samples; what is shorter has no frames."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Somebody speaks without pause."""

    start: float
    """Seconds."""
    end: float
    """Seconds."""
    voice: int
    """The same number for what the segmentation takes for the same voice, within 5 s."""
    alone: float
    """Seconds of it in which nobody else speaks."""
    vector: np.ndarray | None
    """(D,) of length 1: what it sounds like; None where nobody is alone long enough."""
    narrow: bool = False
    """Whether it came through a telephone, or the like."""

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Stretches:
    """The stretches of one stream. It holds no more audio than a window, and what one call adds."""

    def __init__(self, activity: SpeechNetwork, segmentation: SpeakerSegmentation, embedding: SpeakerEmbedding):
        self.segmentation, self.embedding = segmentation, embedding
        self.probabilities = SpeechProbabilities(activity)
        self.speech: list[bool] = []
        """For every window of voice activity since the stream began, whether it is speech."""
        self.held = np.zeros(0, np.float32)
        self.first = 0
        """Frame of the stream at which the held samples begin."""
        self.talks = False
        """Whether somebody spoke in the last window of voice activity."""
        self.voices = 0
        """Numbers given to voices so far."""

    def add(self, samples: np.ndarray) -> Iterator[Stretch]:
        """The next samples (S,) at 16 kHz → the stretches that are now known."""
        self.held = np.concatenate([self.held, samples])
        self._listen(samples)
        while len(self.held) >= WINDOW + ACTIVITY:  # voice activity knows the window to its end
            yield from self._heard(self.held[:WINDOW], MARGIN + STEP_FRAMES)
            self.held = self.held[STEP:]
            self.first += STEP_FRAMES

    def finish(self) -> Iterator[Stretch]:
        """The last stretches, at the end of the stream."""
        self._listen(np.zeros(ACTIVITY, np.float32))
        while len(self.held) > WINDOW:
            yield from self._heard(self.held[:WINDOW], MARGIN + STEP_FRAMES)
            self.held = self.held[STEP:]
            self.first += STEP_FRAMES
        if len(self.held) >= SHORTEST_WINDOW:
            yield from self._heard(self.held, n_frames(len(self.held)))
        self.held = self.held[:0]

    def _listen(self, samples: np.ndarray) -> None:
        for probability in self.probabilities.add(samples):
            self.talks = bool(probability >= (SILENCE if self.talks else SPEECH))
            self.speech.append(self.talks)

    def _heard(self, samples: np.ndarray, end: int) -> Iterator[Stretch]:
        """The stretches of a window from its middle, or the beginning of the first one, to frame `end`."""
        begin = MARGIN if self.first else 0
        speech = self._speech(n_frames(len(samples)))
        if not speech[begin:end].any():
            return
        active = _attributed(self._active(samples), speech)
        features = _features(samples)
        for voice in range(SPEAKERS):
            mine = active[:, voice].copy()
            mine[:begin] = mine[end:] = False
            alone = mine & (active.sum(1) == 1)
            for first, last in runs(mine, round(PAUSE * SAMPLE_RATE / FRAME), round(LONGEST * SAMPLE_RATE / FRAME)):
                start, stop = (_moment(self.first + frame) for frame in (first, last))
                chosen = np.zeros(len(mine), bool)
                chosen[first:last] = alone[first:last]
                seconds = float(chosen.sum()) * FRAME / SAMPLE_RATE
                heard = self._sound(features, chosen) if seconds >= LEAST_ALONE else (None, False)
                yield Stretch(start, stop, self.voices + voice, seconds, *heard)
        self.voices += SPEAKERS

    def _speech(self, n: int) -> np.ndarray:
        """(T,) whether each frame of the window is speech."""
        moments = (self.first + np.arange(n)) * FRAME + FIRST_MIDDLE
        first = int(moments[0]) // ACTIVITY
        known = np.array(self.speech[first : int(moments[-1]) // ACTIVITY + 1])
        return known[np.minimum(moments // ACTIVITY - first, len(known) - 1)]

    def _active(self, samples: np.ndarray) -> np.ndarray:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # its recurrent steps are so small that they only wait for each other
        try:
            return self.segmentation.activity(torch.from_numpy(samples)[None])[0].numpy() > 0
        finally:
            torch.set_num_threads(threads)

    def _sound(self, features: torch.Tensor, frames: np.ndarray) -> tuple[np.ndarray, bool]:
        """What the chosen frames sound like together, (D,) of length 1, and whether their band is narrow."""
        places = np.arange(len(features)) * FEATURES.frame_shift + FEATURES.frame_length / 2
        nearest = np.clip(np.rint((places - FIRST_MIDDLE) / FRAME).astype(int), 0, len(frames) - 1)
        mine = features[torch.from_numpy(frames[nearest])]
        narrow = is_narrow(mine)
        return centred(vector_of(self.embedding, mine), narrow), narrow


def _attributed(active: np.ndarray, speech: np.ndarray) -> np.ndarray:
    """(T, SPEAKERS) activity where there is speech; speech that the segmentation missed goes to whoever speaks nearest to it."""
    found = active & speech[:, None]
    missed = np.flatnonzero(speech & ~active.any(1))
    spoken = np.flatnonzero(active.any(1))
    if not len(spoken):
        found[missed, 0] = True
    elif len(missed):
        after = np.searchsorted(spoken, missed).clip(0, len(spoken) - 1)
        before = (after - 1).clip(0)
        nearer = np.abs(spoken[before] - missed) <= np.abs(spoken[after] - missed)
        found[missed] = active[np.where(nearer, spoken[before], spoken[after])]
    return found


def runs(active: np.ndarray, pause: int, longest: int) -> Iterator[tuple[int, int]]:
    """(first, end) of the stretches of a mask (T,) that fewer than `pause` frames part, in even parts of `longest` at most."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]]))).tolist()
    joined: list[tuple[int, int]] = []
    for first, end in zip(changes[::2], changes[1::2], strict=True):
        if joined and first - joined[-1][1] < pause:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((first, end))
    for first, end in joined:
        parts = -(-(end - first) // longest)
        borders = [first + (end - first) * part // parts for part in range(parts + 1)]
        yield from zip(borders, borders[1:], strict=False)


def _moment(frame: int) -> float:
    """Seconds at which a frame begins to count: half way from the middle of the one before."""
    return max(0.0, (frame * FRAME + FIRST_MIDDLE - FRAME / 2) / SAMPLE_RATE) if frame else 0.0


def _features(samples: np.ndarray) -> torch.Tensor:
    """Samples (S,) → log-mel features (T, F)."""
    features, _ = mel_features()(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    return features[0]
