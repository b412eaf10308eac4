"""From memory frames to seconds of the audio, for any network that says where its frames lie."""

from typing import Protocol

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.recognition.alignment import Alignment, attention_evidence, best_path
from asr.recognition.boundaries import in_pause, spans
from asr.transcript import Span


class Frames(Protocol):
    """Where the memory frames of a network lie."""

    @property
    def frame_seconds(self) -> float:
        """From one to the next."""
        ...

    @property
    def first_frame(self) -> float:
        """The middle, in seconds, of the audio that the first one is of."""
        ...

    def spoken_frames(self, n_frames: int, n_samples: int) -> int:
        """How many of an utterance's frames are of its samples, not of the silence behind these."""
        ...


def attended_path(heard_by: Frames, heads: np.ndarray, samples: np.ndarray) -> Alignment | None:
    """The best path of the tokens of one utterance (S,) through the attention of several heads (heads, U, L).

    Frames of the silence that a window was filled up with are none of it.
    """
    heads = heads[:, :, : heard_by.spoken_frames(heads.shape[2], len(samples))]
    moments = heard_by.first_frame + np.arange(heads.shape[2]) * heard_by.frame_seconds
    return best_path(attention_evidence(heads, in_pause(moments, samples, SAMPLE_RATE)))


def frame_spans(heard_by: Frames, frames: np.ndarray, samples: np.ndarray) -> list[Span]:
    """Start and end in seconds of tokens that were heard best in these memory frames (U,) of the audio (S,)."""
    moments = heard_by.first_frame + frames * heard_by.frame_seconds
    return spans(moments.tolist(), samples, SAMPLE_RATE)
