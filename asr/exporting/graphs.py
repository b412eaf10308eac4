"""The network as the three graphs that a program of ONNX Runtime runs: what the decoder listens to, a step of it, the CTC head.

L memory frames of a padded batch: where an utterance has fewer, its keys hold PADDED, which no network computes. So the
step knows the lengths of a batch without being told, and runs with the inputs that sherpa-onnx gives it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.decoding.decode_config import DecodeConfig
from asr.features.fbank import DECIBELS
from asr.model.layers import sinusoids_at
from asr.model.model import Memory, SpeechModel
from asr.text.tokenizer import TokenTable

PADDED = 1e20
"""What the keys of frames behind an utterance's end are made of."""
WHISPER_SCALE, WHISPER_SHIFT = 4.0, 4.0
"""sherpa-onnx gives a Whisper model log10 of power, plus the shift, over the scale; and zeros behind an utterance."""
DECIBELS_OF_LOG10 = 10.0


class EncoderGraph(nn.Module):
    """Normalised features (B, T, F) and lengths (B,) → keys and values of each decoder layer (layers, B, L, D).

    Behind them, for our own search, what the CTC head says, (B, L, V), and what the no-speech head sees in each frame,
    (B, L, 2), of a model that has them.
    """

    def __init__(self, model: SpeechModel):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, ...]:
        memory = remembered(self.model, x, x_len)
        ctc = () if self.model.ctc is None else (self.model.ctc_log_probs(memory),)
        return *cross_keys_values(self.model, memory), *ctc, *judged(self.model, memory)


class CtcGraph(nn.Module):
    """Normalised features (B, T, F) and lengths (B,) → log-probabilities of the CTC head (B, L, V) and lengths (B,)."""

    def __init__(self, model: SpeechModel, never: Sequence[int]):
        super().__init__()
        self.model = model
        self.register_buffer("allowed", allowed(model, never))

    def forward(self, x: Tensor, x_len: Tensor) -> tuple[Tensor, Tensor]:
        memory = remembered(self.model, x, x_len)
        return self.model.ctc_log_probs(memory) + self.allowed, memory.lengths


class WhisperEncoderGraph(nn.Module):
    """Features (B, F, T) as sherpa-onnx gives them to Whisper, zeros behind each utterance → keys and values as of EncoderGraph,

    and what the no-speech head sees.

    Zeros are louder than silence is in these features. Here they become the silence that the model was trained to hear: up to the
    end of its window, or the little behind each utterance that it needs.
    """

    def __init__(self, model: SpeechModel):
        super().__init__()
        self.model = model
        features = model.log_mel.config
        self.window = features.window_samples // features.frame_shift
        self.tail = features.tail_samples // features.frame_shift + 1
        self.range, self.lowest = features.range_db, DECIBELS * float(torch.tensor(features.floor).log())

    def forward(self, mel: Tensor) -> tuple[Tensor, ...]:
        heard = (mel != 0).any(1)  # (B, T)
        loudness = (mel.transpose(1, 2) * WHISPER_SCALE - WHISPER_SHIFT) * DECIBELS_OF_LOG10  # (B, T, F)
        loudest = loudness.masked_fill(~heard[..., None], -torch.inf).amax((1, 2), keepdim=True)
        silence = (loudest - self.range).clamp(min=self.lowest)
        ends_heard, more = heard[:, -1], self.window or self.tail
        heard, loudness = F.pad(heard, (0, more)), F.pad(loudness, (0, 0, 0, more))
        # Frames that end with the recording are all that there are: our own search gives the silence, too.
        lengths = heard.sum(1) + self.tail * (~ends_heard).long()
        if self.window:
            heard, loudness = heard[:, : self.window], loudness[:, : self.window]
            lengths = torch.full_like(lengths, self.window)
        features = self.model.cmvn(torch.where(heard[..., None], loudness, silence))
        memory = self.model.encode_features(features, lengths)
        return *cross_keys_values(self.model, memory), *judged(self.model, memory)


class StepGraph(nn.Module):
    """One or more tokens (B, U) behind `offset` earlier ones → log-probabilities (B, U, V), and keys and values with theirs.

    Keys and values of the tokens (layers, B, P, H, K) have room for P tokens; those of the memory are the encoder's. `joined`:
    (layers, B, P, D), as Whisper has them. They are -inf for what is never written and, where a model is searched with an
    `eos_threshold`, for an end that comes too early: the largest is what a greedy search of ours takes.

    Last comes the attention (B, heads, U, L) that says where each token was listened for, by which our own search finds times:
    that of heads known to follow what is said, or of all heads of the upper half of the layers.
    """

    def __init__(
        self, model: SpeechModel, table: TokenTable, settings: DecodeConfig, places: int, *, joined: bool = False
    ):
        super().__init__()
        decoder = model.decoder
        self.decoder, self.joined, self.heads = decoder, joined, decoder.heads
        self.eos, self.eos_threshold, self.temperature = table.eos, settings.eos_threshold, settings.temperature
        width = decoder.embedding.weight.shape[1]
        learned = decoder.places is not None
        self.scale = 1.0 if learned else width**0.5
        self.followed = decoder.alignment_heads or [
            (layer, head)
            for layer in range(len(decoder.layers) // 2, len(decoder.layers))
            for head in range(decoder.heads)
        ]
        positions = decoder.places.weight.detach() if learned else sinusoids_at(torch.arange(places), width)
        self.register_buffer("positions", positions.float())
        self.register_buffer("allowed", allowed(model, [*table.never_written, *settings.never_written]))

    def forward(
        self, tokens: Tensor, keys: Tensor, values: Tensor, cross_keys: Tensor, cross_values: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.joined:
            keys, values = (x.unflatten(-1, (self.heads, -1)) for x in (keys, values))
        places = offset[:1] + torch.arange(tokens.shape[1], device=tokens.device)  # (U,)
        x = self.decoder.embedding_norm(self.decoder.embedding(tokens) * self.scale + self.positions[places])
        visible = torch.arange(keys.shape[2], device=tokens.device) <= places[:, None]  # (U, P)
        real = cross_keys[0, :, None, None, :, 0] < PADDED  # (B, 1, 1, L)
        new_keys, new_values, weights = [], [], {}
        for i, layer in enumerate(self.decoder.layers):
            attention = layer.self_attention
            queries, (key, value) = attention.project(layer.self_query(x))
            new_keys.append(_written(keys[i], key, places))
            new_values.append(_written(values[i], value, places))
            so_far = new_keys[i].transpose(1, 2), new_values[i].transpose(1, 2)
            x = layer.looked_back(x, attention.find(queries, so_far, visible[None, None]))
            memory = tuple(self._split(part[i]) for part in (cross_keys, cross_values))
            if any(followed == i for followed, _ in self.followed):
                weights[i] = layer.cross_attention.weights(layer.cross_query(x), memory[0], real)
            x = layer.listen(x, memory, real)
        logits = self.decoder.out(self.decoder.norm(x)).float() / self.temperature
        log_probs = self._may_end(logits.log_softmax(-1) + self.allowed)
        stacked = torch.stack(new_keys), torch.stack(new_values)
        attention = torch.stack([weights[i][:, head] for i, head in self.followed], dim=1)
        return log_probs, *(part.flatten(-2) if self.joined else part for part in stacked), attention

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, L, D) → (B, H, L, K)

    def _may_end(self, log_probs: Tensor) -> Tensor:
        """Log-probabilities (…, V), that of eos -inf where it comes too early, as `eos_threshold` has it."""
        if not self.eos_threshold:
            return log_probs
        is_eos = torch.arange(log_probs.shape[-1], device=log_probs.device) == self.eos
        rest = log_probs.masked_fill(is_eos, -torch.inf).amax(-1, keepdim=True)
        early = log_probs[..., self.eos : self.eos + 1] <= self.eos_threshold * rest
        return log_probs.masked_fill(early & is_eos, -torch.inf)


def allowed(model: SpeechModel, never: Sequence[int]) -> Tensor:
    """(V,): 0, and -inf for the tokens `never`."""
    added = torch.zeros(model.decoder.out.out_features)
    added[list(never)] = -torch.inf
    return added


def remembered(model: SpeechModel, features: Tensor, lengths: Tensor) -> Memory:
    """The memory of normalised features (B, T, F), of however few frames."""
    return model.encode_features(F.pad(features, (0, 0, 0, model.config.subsampling.shortest_input - 1)), lengths)


def judged(model: SpeechModel, memory: Memory) -> tuple[Tensor, ...]:
    """What the no-speech head sees in each frame, (B, L, 2), of a model that has one."""
    return () if model.no_speech is None else (model.no_speech.judged(memory.encoded),)


def cross_keys_values(model: SpeechModel, memory: Memory) -> tuple[Tensor, Tensor]:
    """What the decoder's layers look at, (layers, B, L, D) each; keys are PADDED behind an utterance's end."""
    attentions = [layer.cross_attention for layer in model.decoder.layers]
    keys = torch.stack([attention.key(memory.values) for attention in attentions])
    values = torch.stack([attention.value(memory.values) for attention in attentions])
    return keys.masked_fill(~memory.mask[None, :, :, None], PADDED), values


def _written(cache: Tensor, new: Tensor, places: Tensor) -> Tensor:
    """The cache (B, P, H, K) with new keys or values (B, H, U, K) at their places (U,)."""
    new = new.transpose(1, 2)
    return cache.scatter(1, places[None, :, None, None].expand_as(new), new)
