"""A neural language model as a scorer of the search."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from asr.decoding.beam import Chosen
from asr.text.tokenizer import TokenTable


class Network(Protocol):
    """What the scorer needs of a language model; its state can `select`, as that of the decoder."""

    def start(self, n_texts: int) -> Any: ...

    def __call__(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]: ...


class NetworkLm:
    """Log-probabilities of candidates after all that was written so far. A CandidateScorer."""

    def __init__(
        self,
        network: Network,
        table: TokenTable,
        symbols: Sequence[str],
        sos: int,
        *,
        eos: int,
        device,
        path: str | Path,
    ):
        """path: where it is from. table: its tokens. symbols: those of the model it helps; what it does not have is its <unk>."""
        self.network, self.path = network, Path(path)
        heard = [table.ids.get(symbol, table.unk) for symbol in symbols]
        self.said = torch.tensor(heard, device=device)
        self.said[eos] = table.eos
        self.input = torch.tensor(heard, device=device)
        self.input[sos] = table.sos

    def start(self, n_utterances: int) -> Any:
        return self.network.start(n_utterances)

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = self.network(self.input[tokens][:, :, None], state)
        return log_probs[:, :, 0].gather(2, self.said[candidates]), state

    def select(self, state: Any, chosen: Chosen) -> Any:
        return state.select(chosen.utterances, chosen.hypotheses)
