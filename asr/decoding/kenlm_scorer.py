"""KenLM's binary models as a scorer, through its own library: our reader knows ARPA files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from asr.decoding.beam import Chosen
from asr.decoding.ngram_file import LN10
from asr.errors import AsrError
from asr.extras import brings
from asr.foreign_bytes import reading

MAGIC = b"mmap lm http://kheafield.com/code"
"""How a binary file of KenLM begins."""


COMMON_WORDS = ("我们", "他们", "没有", "可以", "中国", "什么", "自己", "因为")
"""What a language model of Chinese words knows, if any."""


def is_kenlm_binary(path: Path) -> bool:
    """Whether a file is one of KenLM's own."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class _State(NamedTuple):
    """Contexts as KenLM keeps them."""

    contexts: list[list[Any]]
    """One for each hypothesis of each utterance."""
    grown: list[list[list[Any]]] | None = None
    """One for each candidate of each hypothesis."""


class KenlmScorer:
    """Log-probabilities of candidates after their context. A CandidateScorer, with a call of the library for each candidate."""

    def __init__(self, path: str | Path, symbols: Sequence[str], eos: int):
        """symbols: the text of each token; what the model does not have is its <unk>.

        Raises AsrError without the extra `kenlm`, and for a file that the library cannot read.
        """
        try:
            import kenlm
        except ImportError:
            raise AsrError(
                f"{path}: is a binary of KenLM, which its library reads: {brings('kenlm')}; or give the ARPA file"
            ) from None
        with reading(path, AsrError, "cannot be read by KenLM"):
            self.model = kenlm.Model(str(path))
        if 2 * sum(word in self.model for word in COMMON_WORDS) > len(COMMON_WORDS) and not set(COMMON_WORDS) & set(
            symbols
        ):
            raise AsrError(
                f"{path}: is a language model of words ({', '.join(COMMON_WORDS[:3])}), the model writes characters, so that"
                " it would change nothing; asr train-lm makes one of characters"
            )
        self.new_state, self.path = kenlm.State, Path(path)
        self.words = list(symbols)
        self.words[eos] = "</s>"

    def start(self, n_utterances: int) -> _State:
        begin = self.new_state()
        self.model.BeginSentenceWrite(begin)
        return _State([[begin] for _ in range(n_utterances)])

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: _State) -> tuple[Tensor, _State]:
        scores, grown = [], []
        for contexts, texts in zip(state.contexts, candidates.tolist(), strict=True):
            for context, ids in zip(contexts, texts, strict=True):
                after = [self.new_state() for _ in ids]
                scores.append(
                    [self.model.BaseScore(context, self.words[i], a) for i, a in zip(ids, after, strict=True)]
                )
                grown.append(after)
        N = candidates.shape[1]
        by_utterance = [grown[b * N : (b + 1) * N] for b in range(len(candidates))]
        found = torch.tensor(scores, device=candidates.device).view(candidates.shape) * LN10
        return found, state._replace(grown=by_utterance)

    def select(self, state: _State, chosen: Chosen) -> _State:
        rows = zip(chosen.utterances.tolist(), chosen.hypotheses.tolist(), chosen.candidates.tolist(), strict=True)
        return _State([[state.grown[b][n][c] for n, c in zip(ns, cs, strict=True)] for b, ns, cs in rows])
