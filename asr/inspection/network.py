"""What the network makes of one search's audio: features, frames of the subsampling and of the encoder, attention."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr.audio.faint import made_audible
from asr.features.fbank import pad_samples
from asr.inspection.watching import Searched
from asr.model.model import SpeechModel
from asr.recognition.timing import decoder_inputs
from asr.text.tokenizer import TokenTable


@dataclass(frozen=True, eq=False)
class Insides:
    """Arrays of one utterance, all of its frames, those of silence behind it included."""

    mel: np.ndarray
    """(T, F) normalised log-mel features, as the network takes them."""
    subsampled: np.ndarray
    """(L, D) behind the convolutions."""
    encoded: np.ndarray
    """(L, D) behind the encoder."""
    attention: np.ndarray
    """(layers, H, U + 1, L): how much each head of the decoder listens to each frame where it predicts each token, and eos."""
    spoken: int
    """How many of the L frames are of the audio itself."""


@torch.inference_mode()
def insides(model: SpeechModel, table: TokenTable, searched: Searched) -> Insides:
    """The network's own forward pass over what was searched, teacher-forced over the text that was found."""
    device = model.cmvn.mean.device
    samples, lengths = pad_samples([made_audible(searched.samples)], model.shortest_samples)
    length = int(searched.memory.lengths[0])
    window = torch.tensor([model.samples_of(length)])  # that it was searched in, where the model hears windows
    features, n_frames = model.features(samples.to(device), lengths.to(device), window.to(device))
    subsampled, _ = model.subsampling(features.to(model.dtype), n_frames)
    return Insides(
        _array(features[0]),
        _array(subsampled[0, :length]),
        _array(searched.memory.encoded[0, :length]),
        cross_attention(model, table, searched)[..., :length],
        model.spoken_frames(length, len(searched.samples)),
    )


@torch.inference_mode()
def cross_attention(model: SpeechModel, table: TokenTable, searched: Searched) -> np.ndarray:
    """(layers, H, U + 1, L) of every head. Each row adds up to 1."""
    decoder, memory = model.decoder, searched.memory
    tokens = decoder_inputs(table, [searched.result.hypothesis.tokens]).to(memory.values.device)
    state = decoder.start(memory.values, memory.mask)
    heads = decoder.head_weights(tokens, state, range(len(decoder.layers)))
    return _array(heads[0].unflatten(0, (len(decoder.layers), decoder.heads)))


def _array(x: Tensor) -> np.ndarray:
    return x.float().cpu().numpy()
