"""Where somebody speaks: silero-vad over a stream of any length.

The package's own model takes one window of 32 ms a call. Here the weights that it installs work on many windows at once: the
same probabilities to five decimals, several times as fast.
Silero Team (2024), https://github.com/snakers4/silero-vad, version 6; MIT licence.
"""

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.audio.speech_probabilities import CONTEXT, INSTALL, WINDOW, silero_file
from asr.errors import AsrError

FFT, HOP, BINS, WIDTH = 256, 128, 129, 128
NAMES = {
    "stft_conv.weight": "stft.forward_basis_buffer",
    **{f"conv{i + 1}.{kind}": f"encoder.{i}.reparam_conv.{kind}" for i in range(4) for kind in ("weight", "bias")},
    **{f"lstm.{kind}_{on}_l0": f"decoder.rnn.{kind}_{on}" for kind in ("weight", "bias") for on in ("ih", "hh")},
    **{f"final_conv.{kind}": f"decoder.decoder.2.{kind}" for kind in ("weight", "bias")},
}
"""Our name of a weight → its name in the installed network for 16 kHz."""

State = tuple[Tensor, Tensor]
"""State of the LSTM: two tensors (1, 1, WIDTH)."""


class VoiceActivity(nn.Module):
    """The network of silero-vad for 16 kHz. It holds no state of a stream, so one serves any number of them."""

    def __init__(self):
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, FFT, HOP, bias=False)
        self.conv1 = nn.Conv1d(BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, 2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, 2, padding=1)
        self.conv4 = nn.Conv1d(64, WIDTH, 3, padding=1)
        self.lstm = nn.LSTM(WIDTH, WIDTH)
        self.final_conv = nn.Conv1d(WIDTH, 1, 1)

    def start(self) -> State:
        """The state before a stream."""
        return torch.zeros(1, 1, WIDTH), torch.zeros(1, 1, WIDTH)

    @torch.inference_mode()
    def probabilities(self, samples: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """What `forward` gives, of and as an array."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # steps this small only wait for each other, on a busy machine fifty times as long
        try:
            found, state = self(torch.from_numpy(samples), state)
        finally:
            torch.set_num_threads(threads)
        return found.numpy(), state

    def forward(self, samples: Tensor, state: State) -> tuple[Tensor, State]:
        """Samples (CONTEXT + N WINDOW,) and the state before them → probabilities of speech (N,) and the state after."""
        windows = samples.unfold(0, CONTEXT + WINDOW, WINDOW)[:, None]
        spectra = self.stft_conv(functional.pad(windows, (0, CONTEXT), mode="reflect"))  # (N, 2 BINS, 4)
        hidden = (spectra[:, :BINS].square() + spectra[:, BINS:].square()).sqrt()
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            hidden = convolution(hidden).relu()  # (N, WIDTH, 1) in the end
        hidden, state = self.lstm(hidden.transpose(1, 2), state)  # (N, 1, WIDTH): windows are its time
        return self.final_conv(hidden.relu().transpose(1, 2))[:, 0, 0].sigmoid(), state


def load_voice_activity() -> VoiceActivity:
    """The network with the weights of the installed silero-vad. Raises AsrError where they are missing, or not those known here.

    The package itself is not imported: that would set PyTorch to one thread for the whole program.
    """
    # the .jit file: the .safetensors beside it holds other weights, of an older network
    path = silero_file("silero_vad.jit")
    network = VoiceActivity()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch announces a successor of the format
            weights = torch.jit.load(path, map_location="cpu").state_dict()
        network.load_state_dict({ours: weights[f"_model.{theirs}"] for ours, theirs in NAMES.items()})
    except Exception as error:  # whatever another version may bring
        raise AsrError(f"{path}: not the silero-vad that is known here ({error}): {INSTALL}") from error
    return network.eval()
