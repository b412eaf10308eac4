"""The autoregressive decoder. One forward pass serves training and search: teacher forcing is a step of many tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.model.encoder import check_sizes
from asr.model.layers import Attention, Dropout, FeedForward, KeysValues, sinusoids


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

    def __post_init__(self):
        check_sizes("decoder", self)


@dataclass(frozen=True)
class DecoderState:
    """All that a further step needs. Nothing in it is changed in place."""

    memory: tuple[KeysValues, ...]
    """Per layer, keys and values of the memory (B, H, L, K), shared by all hypotheses of an utterance."""
    memory_mask: Tensor
    """(B, 1, 1, L), True where the memory is real."""
    past: tuple[KeysValues, ...]
    """Per layer, keys and values of the tokens so far (B * N, H, U, K)."""

    @property
    def n_tokens(self) -> int:
        """Tokens taken in so far."""
        return self.past[0][0].shape[2] if self.past else 0

    def reorder(self, index: Tensor) -> "DecoderState":
        """Hypothesis n of utterance b continues hypothesis index[b, n] (B, N) of the same utterance.

        With N = 2 and index [[0, 0], [1, 0]] the rows of `past`, kept as b * N + n, are taken in the order 0, 0, 3, 2.
        """
        B, N = index.shape
        n_before = self.past[0][0].shape[0] // B
        rows = (torch.arange(B, device=index.device)[:, None] * n_before + index).flatten()
        return DecoderState(self.memory, self.memory_mask, tuple((k[rows], v[rows]) for k, v in self.past))


class DecoderLayer(nn.Module):
    """Pre-norm: self-attention over the tokens so far, attention to the memory, feed-forward."""

    def __init__(self, config: DecoderConfig, width: int):
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, config.heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, config.heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, config.feed_forward, config.dropout)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, past: KeysValues | None, causal: Tensor | None, memory: KeysValues, memory_mask: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """x (B, N, U, D) → the same shape, and the keys and values of all tokens so far."""
        B, N, U, D = x.shape
        y = self.self_norm(x).flatten(0, 1)  # (B * N, U, D): each hypothesis has a past of its own
        keys, values = self.self_attention.keys_values(y)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        x = x + self.dropout(self.self_attention(y, (keys, values), causal).view(B, N, U, D))
        y = self.cross_norm(x).flatten(1, 2)  # (B, N * U, D): one memory for all hypotheses of an utterance
        x = x + self.dropout(self.cross_attention(y, memory, memory_mask).view(B, N, U, D))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x))), (keys, values)


class Decoder(nn.Module):
    """Tokens and memory to logits."""

    def __init__(self, config: DecoderConfig, width: int, vocabulary: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)  # times sqrt(D) in forward: unit variance
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(DecoderLayer(config, width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, vocabulary)

    def start(self, memory: Tensor, memory_mask: Tensor) -> DecoderState:
        """The state before the first token, from memory (B, L, D) and its mask (B, L)."""
        keys_values = tuple(layer.cross_attention.keys_values(memory) for layer in self.layers)
        return DecoderState(keys_values, memory_mask[:, None, None, :], ())

    def forward(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Tokens (B, N, U), the next U of N hypotheses → logits (B, N, U, V), row u predicting token u + 1, and the new state."""
        U, done = tokens.shape[2], state.n_tokens
        x = self.embedding(tokens)
        x = x * x.shape[3] ** 0.5 + sinusoids(done, U, x.shape[3], x)
        x = self.dropout(x)
        causal = None  # a single token may look at all that came before it
        if U > 1:
            causal = torch.ones(U, done + U, dtype=torch.bool, device=x.device).tril(diagonal=done)
        past = []
        for i, layer in enumerate(self.layers):
            x, keys_values = layer(x, state.past[i] if done else None, causal, state.memory[i], state.memory_mask)
            past.append(keys_values)
        return self.out(self.norm(x)), DecoderState(state.memory, state.memory_mask, tuple(past))
