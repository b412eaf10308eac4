"""The whole network: samples → log-mel → CMVN → subsampling → encoder → memory → decoder (and, if asked for, a CTC head).

A decoder of another width than the encoder's gets the memory through a linear layer, the projection.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from asr.audio.reading import SAMPLE_RATE
from asr.config_checks import check_not_negative
from asr.errors import ConfigError
from asr.features.cmvn import Cmvn
from asr.features.fbank import NATS_PER_DECIBEL, USUAL_UNIT, FeatureConfig, LogMel
from asr.features.utterance import length_mask
from asr.model.decoder import Decoder, DecoderConfig
from asr.model.encoder import Encoder, EncoderConfig, check_heads
from asr.model.layers import sinusoids_at
from asr.model.no_speech import NoSpeechHead
from asr.model.sizes import check_size
from asr.model.subsampling import Subsampling, SubsamplingConfig, SubsamplingOverTime


@dataclass(frozen=True)
class ModelConfig:
    """The network, except for its vocabulary, which the token table gives."""

    subsampling: SubsamplingConfig = field(default_factory=SubsamplingConfig)
    """The convolutions in front of the encoder."""
    ctc: bool = False
    """Whether there is a CTC head; training switches it on when its ctc_weight is above 0."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The encoder."""
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    """The decoder."""
    count_tokens: bool = False
    """Whether each memory frame tells the decoder how many tokens the CTC head has heard up to it: the place that the decoder
    must find for its next token then has the number that the token has. Needs the CTC head."""
    reverse_layers: int = 0
    """Layers of a second decoder that reads the text from its end (U2++, arXiv:2106.05642); it can judge finished texts."""
    decoder_width: int = 0
    """Width of the decoder, to which a linear layer brings the memory; 0: the encoder's, without such a layer."""

    def __post_init__(self):
        check_not_negative("model", self, "reverse_layers")
        check_size("model.reverse_layers", max(1, self.reverse_layers))
        if self.count_tokens and not self.ctc:
            raise ConfigError("model.count_tokens needs the head that counts: set model.ctc = true")
        if self.decoder_width:
            check_size("model.decoder_width", self.decoder_width)
        check_heads("decoder", self.decoder_width or self.encoder.width, self.decoder.heads)


@dataclass(frozen=True)
class Memory:
    """What the decoder listens to."""

    values: Tensor
    """(B, L, D), of the decoder's width."""
    lengths: Tensor
    """(B,) real frames of each utterance, at least 1."""
    encoded: Tensor
    """(B, L, D): what the encoder gave, and the CTC head reads."""

    @property
    def mask(self) -> Tensor:
        """(B, L), True where a frame is real."""
        return length_mask(self.lengths, self.values.shape[1])

    def rows(self, utterances: Sequence[int]) -> "Memory":
        """The memory of these utterances, any number of times."""
        return Memory(self.values[utterances], self.lengths[utterances], self.encoded[utterances])


class SpeechModel(nn.Module):
    """The network as one module. It knows ids, not characters."""

    def __init__(self, features: FeatureConfig, config: ModelConfig, vocabulary: int):
        super().__init__()
        if max(config.decoder.prompt, default=-1) >= vocabulary:
            raise ConfigError(f"decoder.prompt: {max(config.decoder.prompt)} is no id of {vocabulary} tokens")
        self.config = config
        width = config.encoder.width
        self.log_mel = LogMel(features)
        self.cmvn = Cmvn(features.n_mels)
        subsampling = SubsamplingOverTime if config.subsampling.over_time else Subsampling
        self.subsampling = subsampling(config.subsampling, features.n_mels, width)
        self.encoder = Encoder(config.encoder)
        self.projection = nn.Linear(width, config.decoder_width) if config.decoder_width else None
        self.decoder = Decoder(config.decoder, self.decoder_width, vocabulary)
        self.reverse_decoder = None
        if config.reverse_layers:
            reverse = replace(config.decoder, layers=config.reverse_layers)
            self.reverse_decoder = Decoder(reverse, self.decoder_width, vocabulary)
        self.ctc = nn.Linear(width, vocabulary) if config.ctc else None
        self.no_speech: NoSpeechHead | None = None  # learnt afterwards, and kept in a file of its own
        self.tie()

    def tie(self) -> None:
        """Makes output layers share the embedding's weights, if they are to: after these were replaced."""
        for decoder in (self.decoder, self.reverse_decoder):
            if decoder is not None and self.config.decoder.tied:
                decoder.out.weight = decoder.embedding.weight

    @property
    def dtype(self) -> torch.dtype:
        """In what the network computes behind the features; the CTC head in float32."""
        return self.decoder.embedding.weight.dtype

    @property
    def decoder_width(self) -> int:
        """Width of the decoder and of what it listens to."""
        return self.config.decoder_width or self.config.encoder.width

    @property
    def unit(self) -> float | Tensor:
        """Nats of power in a unit of the normalised features: of all bins, or of each (F,)."""
        features = self.log_mel.config
        if features.per_utterance:  # a deviation of each utterance, whichever it is
            return features.unit or USUAL_UNIT
        return features.unit or (NATS_PER_DECIBEL if features.decibels else 1.0) / self.cmvn.inverse_std

    @property
    def shortest_samples(self) -> int:
        """Samples that give one memory frame; shorter audio cannot be encoded."""
        return self.log_mel.config.samples_of(self.config.subsampling.shortest_input)

    @property
    def longest_samples(self) -> int | None:
        """Samples that the model hears at once, of a window or as far as learned positions reach; None: any number."""
        features, places = self.log_mel.config, self.config.encoder.places
        if features.window_samples or not places:
            return features.window_samples or None
        return round(places * self.frame_seconds * SAMPLE_RATE) - features.tail_samples

    def samples_of(self, n_frames: int) -> int:
        """How many samples so many memory frames are of."""
        return n_frames * self.config.subsampling.factor * self.log_mel.config.frame_shift

    def encoded_samples(self, n_samples: int, window: float | None = None) -> int:
        """How many samples are encoded for so many: all of a window, if the model has one, and the silence behind them.

        window: seconds in place of the model's whole window; at least what is heard, at most the whole one.
        """
        features = self.log_mel.config
        if not features.window_samples or window is None:
            return max(n_samples + features.tail_samples, features.window_samples)
        frame = self.samples_of(1)
        wanted = max(n_samples, round(window * SAMPLE_RATE), frame)
        return min(-(-wanted // frame) * frame, features.window_samples)

    def spoken_frames(self, n_frames: int, n_samples: int) -> int:
        """How many of an utterance's memory frames are of its samples, not of the silence behind these."""
        features = self.log_mel.config
        if not features.window_samples and not features.tail_samples:
            return n_frames
        return min(n_frames, max(1, math.ceil(n_samples / SAMPLE_RATE / self.frame_seconds)))

    @property
    def frame_seconds(self) -> float:
        """Seconds from one memory frame to the next."""
        return self.config.subsampling.factor * self.log_mel.config.shift_ms / 1000

    @property
    def first_frame(self) -> float:
        """The middle, in seconds, of the audio that the subsampling sees in the first memory frame."""
        features = self.log_mel.config
        return self.config.subsampling.first_centre * features.shift_ms / 1000 + features.first_centre

    def features(self, samples: Tensor, lengths: Tensor, windows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Samples (B, S), lengths (B,) → normalised features (B, T, F) and their lengths; windows (B,): see LogMel."""
        features, lengths = self.log_mel(samples, lengths, windows)
        return self.cmvn(features), lengths

    def encode_features(self, features: Tensor, lengths: Tensor) -> Memory:
        """Normalised features (B, T, F) → memory."""
        x, lengths = self.subsampling(features.to(self.dtype), lengths)
        lengths = lengths.clamp(min=1)
        encoded = self.encoder(x, lengths)
        values = self._with_counts(encoded) if self.config.count_tokens else encoded
        return Memory(values if self.projection is None else self.projection(values), lengths, encoded)

    def _with_counts(self, encoded: Tensor) -> Tensor:
        """Encoded frames (B, L, D), to each of them added the position of the last token heard, 0 for the first.

        Heard is what is not blank (id 0), weighed by its probability; no gradient flows through it.
        """
        with torch.no_grad(), torch.autocast(encoded.device.type, enabled=False):
            logits = self.ctc(encoded.float())
            heard = -torch.expm1(logits[..., 0] - logits.logsumexp(-1))
            positions = sinusoids_at(heard.cumsum(1) - 1, encoded.shape[2])
        return encoded + positions.to(encoded.dtype)

    def encode(self, samples: Tensor, lengths: Tensor, windows: Tensor | None = None) -> Memory:
        """Samples (B, S), lengths (B,) → memory; windows (B,): samples that each is filled up to, of a model with a window."""
        return self.encode_features(*self.features(samples, lengths, windows))

    def ctc_log_probs(self, memory: Memory) -> Tensor:
        """(B, L, V) of the CTC head, which the model must have."""
        return self.ctc(memory.encoded.float()).float().log_softmax(-1)

    def decode_teacher_forced(self, memory: Memory, tokens: Tensor) -> Tensor:
        """Logits (B, U, V) after each of the tokens (B, U), the first of which is `<sos>`."""
        logits, _ = self.decoder(tokens[:, None], self.decoder.start(memory.values, memory.mask))
        return logits[:, 0]
