"""When the tokens of texts were said, by a model that has listened: its CTC head, or else its decoder's attention."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.model.decoder import DecoderState
from asr.model.model import SpeechModel
from asr.recognition.alignment import best_path, ctc_evidence
from asr.recognition.frames import attended_path, frame_spans
from asr.text.tokenizer import TokenTable
from asr.transcript import Span


def token_spans(
    model: SpeechModel,
    table: TokenTable,
    utterances: Sequence[np.ndarray],
    texts: Sequence[Sequence[int] | None],
    *,
    lengths: Tensor,
    heard: Tensor | np.ndarray | None,
) -> list[tuple[Span, ...]]:
    """Start and end in seconds of each token (ids) of each text, which is known to be what was said in the utterance (S,).

    lengths (B,): memory frames of each. heard: log-probabilities (B, L, V) of the CTC head, a tensor, or of a model without one
    what `attention` gives; None where there are no texts.
    """
    found: list[tuple[Span, ...]] = []
    for b, (samples, tokens, length) in enumerate(zip(utterances, texts, lengths.tolist(), strict=True)):
        if not tokens or heard is None:
            found.append(())
            continue
        length = model.spoken_frames(length, len(samples))
        if isinstance(heard, Tensor):
            path = best_path(ctc_evidence(heard[b, :length].float().cpu().numpy(), tokens, table.blank))
        else:
            path = attended_path(model, heard[b, :, : len(tokens), :length], samples)
        # too many of them: one after the other
        frames = path.peaks if path else np.linspace(0, length - 1, len(tokens))
        found.append(tuple(frame_spans(model, frames, samples)))
    return found


def attention(model: SpeechModel, table: TokenTable, texts: Sequence[Sequence[int]], state: DecoderState) -> np.ndarray:
    """(B, heads, U + 1, L): where heads of the decoder listen that do so where the token is they write.

    These are known of some models; of others any head of the upper layers may be such.
    """
    n_layers = len(model.decoder.layers)
    tokens = decoder_inputs(table, texts).to(model.cmvn.mean.device)
    return model.decoder.alignments(tokens, state, range(n_layers // 2, n_layers)).float().cpu().numpy()


def decoder_inputs(table: TokenTable, texts: Sequence[Sequence[int]]) -> Tensor:
    """(B, U + 1): sos and the tokens (ids) of each text, padded."""
    return pad_sequence([torch.tensor([table.sos, *text]) for text in texts], batch_first=True)
