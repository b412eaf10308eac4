"""Where somebody speaks, by ONNX Runtime: the form of silero-vad that its package has for it, a window a call."""

from pathlib import Path

import numpy as np

from asr.audio.speech_probabilities import CONTEXT, WINDOW
from asr.errors import AsrError

SILERO = "silero_vad.onnx"
"""The file of silero-vad's package, and of a folder that a model is exported to."""
RATE = np.array(16000, np.int64)


class OnnxVoiceActivity:
    """The network of silero-vad for 16 kHz; the probabilities are those of asr.audio.voice_activity."""

    def __init__(self, path: Path):
        """path: a file of silero-vad for ONNX. Raises AsrError where it is not the one that is known here."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            self.probabilities(np.zeros(CONTEXT + WINDOW, np.float32), self.start())
        except Exception as error:  # whatever another version may bring
            raise AsrError(
                f"{path}: not the silero-vad that is known here ({error}): export the model again"
            ) from error

    def start(self) -> np.ndarray:
        """The state before a stream."""
        return np.zeros((2, 1, 128), np.float32)

    def probabilities(self, samples: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples (CONTEXT + N WINDOW,) and the state before them → probabilities of speech (N,) and the state after."""
        found = []
        for first in range(0, len(samples) - CONTEXT, WINDOW):
            window = samples[None, first : first + CONTEXT + WINDOW].astype(np.float32)
            probability, state = self.session.run(None, {"input": window, "state": state, "sr": RATE})
            found.append(probability[0, 0])
        return np.array(found, np.float32), state
