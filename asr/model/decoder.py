"""The autoregressive decoder. One forward pass serves training and search: teacher forcing is a step of many tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.config_checks import check_names
from asr.errors import ConfigError
from asr.model.encoder import check_places, check_sizes
from asr.model.layers import (
    ACTIVATIONS,
    Attention,
    Dropout,
    FeedForward,
    KeysValues,
    LearnedPositions,
    additive,
    computed,
    sinusoids,
    sinusoids_at,
)

POSITIONS_AT_HAND = 256
"""Positions of tokens whose sinusoids are kept: to compute those of one takes a dozen calls, in each step of a search."""


@dataclass(frozen=True)
class DecoderConfig:
    """The size of the decoder; its width is the encoder's."""

    layers: int = 6
    """Number of layers."""
    heads: int = 4
    """Attention heads H; must divide the width."""
    feed_forward: int = 2048
    """Hidden width of the feed-forward layers."""
    dropout: float = 0.1
    """Share of channels dropped in training."""
    activation: str = "relu"
    """relu, gelu or swish, in the feed-forward parts."""
    norm_first: bool = True
    """Whether each part normalises its input (pre-norm), or the sum of its input and output (post-norm)."""
    norm_eps: float = 1e-5
    """Added to the variance in layer norms."""
    last_norm: bool = True
    """Whether there is a layer norm after the last layer."""
    tied: bool = False
    """Whether the output layer has the embedding's weights."""
    positions: str = "absolute"
    """absolute: sinusoids are added to embeddings times sqrt(D). learned: a table is added to embeddings as they are."""
    places: int = 0
    """Tokens that the table of learned positions has; no text may have more, with sos and what prompts it."""
    prompt: tuple[int, ...] = ()
    """Tokens before sos that every text begins with: Whisper is told by them in which language what is said is to be written."""
    alignment_heads: tuple[tuple[int, ...], ...] = ()
    """Pairs of layer and head, from 0, whose cross-attention is known to be where each token is said; empty: not known."""
    embedding_norm: bool = False
    """Whether a layer norm follows the sum of embeddings and positions."""

    def __post_init__(self):
        check_names("decoder", self, activation=ACTIVATIONS, positions=("absolute", "learned"))
        check_sizes("decoder", self)
        check_places("decoder", self)
        if min(self.prompt, default=0) < 0:
            raise ConfigError(f"decoder.prompt: {min(self.prompt)} is no id of a token")
        for pair in self.alignment_heads:
            if len(pair) != 2 or not (0 <= pair[0] < self.layers and 0 <= pair[1] < self.heads):
                raise ConfigError(
                    f"decoder.alignment_heads: {list(pair)} is no pair of one of {self.layers} layers and {self.heads} heads"
                )


@dataclass(frozen=True)
class DecoderState:
    """All that a further step needs. A step writes into the room that is left in `past`: each state is used once.

    The tokens of all hypotheses of an utterance lie in one row of slots and are never moved: which of them a hypothesis
    has for its past, `visible` says. After two steps of N = 2, of which the second continued hypothesis 0 twice, there
    are four slots, and `visible` is [[T F T F] [T F F T]].
    """

    memory: tuple[KeysValues, ...]
    """Per layer, keys and values of the memory (B, H, L, K), shared by all hypotheses of an utterance."""
    memory_mask: Tensor | None
    """(B, 1, 1, L), True where the memory is real; None where all of it is."""
    past: tuple[KeysValues, ...]
    """Per layer, keys and values of the tokens so far (B, H, S or more, K)."""
    visible: Tensor | None
    """(B, N, S), True where a slot is the past of the hypothesis; None before the first token."""
    n_tokens: int = 0
    """Tokens taken in so far."""

    def select(self, utterances: Tensor, hypotheses: Tensor) -> "DecoderState":
        """Goes on with these utterances (B',), of which hypothesis n continues hypothesis hypotheses[b, n] (B', N')."""
        memory, mask, past = self.memory, self.memory_mask, self.past
        if len(utterances) < len(self.visible):
            memory, past = (tuple((k[utterances], v[utterances]) for k, v in pairs) for pairs in (memory, past))
            mask = None if mask is None else mask[utterances]
        return DecoderState(memory, mask, past, self.visible[utterances[:, None], hypotheses], self.n_tokens)


class DecoderLayer(nn.Module):
    """Self-attention over the tokens so far, attention to the memory if it listens to one, feed-forward."""

    def __init__(self, config: DecoderConfig, width: int, listens: bool = True):
        super().__init__()
        self.norm_first, self.listens = config.norm_first, listens
        self.self_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.self_attention = Attention(width, config.heads)
        if listens:
            self.cross_norm = nn.LayerNorm(width, eps=config.norm_eps)
            self.cross_attention = Attention(width, config.heads)
        self.feed_forward_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.feed_forward = FeedForward(width, config.feed_forward, config.dropout, config.activation)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, past: KeysValues | None, visible: Tensor, memory: KeysValues, memory_mask: Tensor | None
    ) -> tuple[Tensor, KeysValues]:
        """x (B, N * U, D), mask visible (B or 1, 1, N * U, S) → the same shape, and keys and values of all slots."""
        x, past = self.look_back(x, past, visible)
        return self.listen(x, memory, memory_mask), past

    def listen(self, x: Tensor, memory: KeysValues, memory_mask: Tensor | None) -> Tensor:
        """x (B, Q, D) behind all that follows the attention to earlier tokens; arguments as of `forward`."""
        if self.listens:
            x = x + self.dropout(self.cross_attention(self.cross_query(x), memory, memory_mask))
            x = x if self.norm_first else self.cross_norm(x)
        if self.norm_first:
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))

    def cross_query(self, x: Tensor) -> Tensor:
        """What looks at the memory, from what the self-attention gave."""
        return self.cross_norm(x) if self.norm_first else x

    def look_back(self, x: Tensor, past: KeysValues | None, visible: Tensor) -> tuple[Tensor, KeysValues]:
        """x behind the attention to earlier tokens, and keys and values of all slots; arguments as of `forward`."""
        queries, (keys, values) = self.self_attention.project(self.self_query(x))
        slots = visible.shape[-1]
        if past is not None:
            keys = _append(past[0], keys, slots - x.shape[1])
            values = _append(past[1], values, slots - x.shape[1])
        so_far = keys.narrow(2, 0, slots), values.narrow(2, 0, slots)
        return self.looked_back(x, self.self_attention.find(queries, so_far, visible)), (keys, values)

    def self_query(self, x: Tensor) -> Tensor:
        """What looks at earlier tokens."""
        return self.self_norm(x) if self.norm_first else x

    def looked_back(self, x: Tensor, found: Tensor) -> Tensor:
        """x and what it has found in earlier tokens."""
        x = x + self.dropout(found)
        return x if self.norm_first else self.self_norm(x)


def _append(past: Tensor, new: Tensor, filled: int) -> Tensor:
    """Writes new keys or values (B, H, M, K) after the `filled` slots of the past; makes room for twice as many if need be."""
    needed = filled + new.shape[2]
    if needed > past.shape[2]:
        room = new.new_empty([new.shape[0], new.shape[1], 2 * needed, new.shape[3]])
        room[:, :, :filled] = past[:, :, :filled]
        past = room
    past.narrow(2, filled, new.shape[2]).copy_(new)
    return past


class Decoder(nn.Module):
    """Tokens and memory to logits; one that does not listen is a language model."""

    def __init__(self, config: DecoderConfig, width: int, vocabulary: int, listens: bool = True):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)  # times sqrt(D) in forward: unit variance
        self.places = (
            LearnedPositions(config.places, width, "tokens of a text and its prompt") if config.places else None
        )
        # on the CPU also in a network of sizes alone: for an arange on the device "meta" PyTorch loads its compiler, a second
        at_hand = torch.arange(0 if config.places else POSITIONS_AT_HAND, device="cpu")
        self.register_buffer("sinusoids", sinusoids_at(at_hand, width), persistent=False)
        self.embedding_norm = nn.LayerNorm(width, eps=config.norm_eps) if config.embedding_norm else nn.Identity()
        self.register_buffer("prompt", torch.tensor(config.prompt, dtype=torch.long), persistent=False)
        self.heads, self.alignment_heads, self.recomputes = config.heads, config.alignment_heads, False
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(DecoderLayer(config, width, listens) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, eps=config.norm_eps) if config.last_norm else nn.Identity()
        self.out = nn.Linear(width, vocabulary)

    @property
    def longest_text(self) -> int | None:
        """Tokens that a text may have, sos and eos not counted; None: any number."""
        return None if self.places is None else len(self.places.weight) - len(self.prompt) - 1

    def start(self, memory: Tensor, memory_mask: Tensor) -> DecoderState:
        """The state before sos, and before the prompt, if there is one; from memory (B, L, D) and its mask (B, L)."""
        keys_values = tuple(layer.cross_attention.keys_values(memory) for layer in self.layers)
        if not torch.is_grad_enabled():  # every step reads all of them: those of a head lie side by side
            keys_values = tuple((keys.contiguous(), values.contiguous()) for keys, values in keys_values)
        mask = None if bool(memory_mask.all()) else memory_mask[:, None, None, :]
        return DecoderState(keys_values, mask, (), None)

    def start_without_memory(self, n_texts: int) -> DecoderState:
        """The state before the first token of so many texts, of a decoder that listens to nothing."""
        nothing = self.embedding.weight.new_zeros(n_texts, 0)
        return DecoderState(((nothing, nothing),) * len(self.layers), None, (), None)

    def forward(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Tokens (B, N, U), the next U of N hypotheses → logits (B, N, U, V), row u predicting token u + 1, and the new state.

        The first ones, which begin with sos, are put behind the prompt.
        """
        asked = tokens.shape[2]
        if not state.past:
            tokens = torch.cat([self.prompt.expand(*tokens.shape[:2], -1), tokens], dim=2)
        B, N, U = tokens.shape
        x = self._embed(tokens, state.n_tokens)
        visible = _visible(state.visible, N, U, x.device)  # (B or 1, N, U, S)
        mask = additive(visible.flatten(1, 2)[:, None], x.dtype)  # once, not in every layer
        past = []
        for i, layer in enumerate(self.layers):
            before = state.past[i] if state.past else None
            memory = state.memory[i], state.memory_mask
            x, keys_values = computed(layer, x, before, mask, *memory, again=self.recomputes)
            past.append(keys_values)
        now_visible = visible[:, :, -1].expand(B, -1, -1)
        after = DecoderState(state.memory, state.memory_mask, tuple(past), now_visible, state.n_tokens + U)
        return self.out(self.norm(x.unflatten(1, (N, U))[:, :, U - asked :])), after

    def mean_alignment(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Tokens (B, U) from the first on → (B, U, L): which share of its attention to the memory goes to each frame.

        Row u is that of the step that predicts token u + 1: the mean over the heads known to follow what is said, or over
        all of the last layer.
        """
        return self.alignments(tokens, state, [len(self.layers) - 1]).mean(1)

    def alignments(self, tokens: Tensor, state: DecoderState, layers: Sequence[int]) -> Tensor:
        """Tokens (B, U) → (B, heads, U, L): the attention of each head known to follow what is said.

        Where no head is known, of all heads of `layers`.
        """
        if not self.alignment_heads:
            return self.head_weights(tokens, state, layers)
        layers = sorted({layer for layer, _ in self.alignment_heads})
        places = [layers.index(layer) * self.heads + head for layer, head in self.alignment_heads]
        return self.head_weights(tokens, state, layers)[:, places]

    def head_weights(self, tokens: Tensor, state: DecoderState, layers: Sequence[int]) -> Tensor:
        """Tokens (B, U) → (B, len(layers) * H, U, L): the attention to the memory of all heads of some layers.

        `layers`: from 0, in rising order.
        """
        tokens = torch.cat([self.prompt.expand(len(tokens), -1), tokens], dim=1)
        x = self._embed(tokens[:, None], 0)
        visible = _visible(None, 1, tokens.shape[1], x.device).flatten(1, 2)[:, None]
        heads = []
        for i, (layer, memory) in enumerate(zip(self.layers, state.memory, strict=True)):
            x, _ = layer.look_back(x, None, visible)
            if i in layers:
                heads.append(layer.cross_attention.weights(layer.cross_query(x), memory[0], state.memory_mask))
            if i == layers[-1]:
                break
            x = layer.listen(x, memory, state.memory_mask)
        return torch.cat(heads, dim=1)[:, :, len(self.prompt) :]

    def _embed(self, tokens: Tensor, n_before: int) -> Tensor:
        """Tokens (B, N, U) → (B, N * U, D)."""
        x = self.embedding(tokens)
        if self.places is None:
            x = x * x.shape[3] ** 0.5 + self._positions(n_before, tokens.shape[2], x)
        else:
            x = x + self.places(n_before, tokens.shape[2])
        return self.dropout(self.embedding_norm(x)).flatten(1, 2)

    def _positions(self, first: int, length: int, like: Tensor) -> Tensor:
        if first + length > len(self.sinusoids):
            return sinusoids(first, length, like.shape[3], like)
        return self.sinusoids[first : first + length].to(like.dtype)


def _visible(before: Tensor | None, N: int, U: int, device: torch.device) -> Tensor:
    """(B, N, S) → (B or 1, N, U, S + N * U): each token also sees itself, and those of this step that come before it."""
    new = torch.eye(N, dtype=torch.bool, device=device).view(1, N, 1, N)
    if U > 1:
        causal = torch.ones(U, U, dtype=torch.bool, device=device).tril()
        new = (new[..., None] & causal[:, None]).view(1, N, U, N * U)
    if before is None:
        return new
    return torch.cat([before[:, :, None].expand(-1, -1, U, -1), new.expand(len(before), -1, -1, -1)], dim=3)
