"""A model and its tokenizer, put to work: arrays of samples to n-best lists of texts."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from asr.audio.reading import SAMPLE_RATE
from asr.decoding.continued import ContinuedScorer, parted
from asr.decoding.ctc_prefix import CtcPrefixScorer
from asr.decoding.decode_config import AUTO, DecodeConfig
from asr.decoding.hotwords import HotwordScorer
from asr.decoding.rescoring import penalise_uncovered, prefer_likely_texts, rescore
from asr.decoding.search import CandidateScorer, Hypothesis, Watch, beam_search
from asr.decoding.wordlists import Hotwords
from asr.errors import AsrError, ConfigError
from asr.model.model import Memory, SpeechModel
from asr.recognition.encoding import WHOLE, encode, grouped, window_samples
from asr.recognition.guards import cut_in_two, cut_to_fit, misheard, reasons_to_doubt, shortened
from asr.recognition.joining import joined
from asr.recognition.large_lm import LargeLm
from asr.recognition.listening import NetworkScorer
from asr.recognition.names import require_readings, with_hotwords
from asr.recognition.no_speech import no_speech_probabilities
from asr.recognition.recognized import NOTHING_SAID, Decoded, Recognized, Watcher
from asr.recognition.timing import decoder_inputs, token_spans
from asr.stopping import never
from asr.text.tokenizer import Tokenizer


class Recognizer:
    """Decodes many utterances in batches of similar length, and gives the results in the order of the input."""

    def __init__(
        self,
        model: SpeechModel,
        tokenizer: Tokenizer,
        config: DecodeConfig | None = None,
        lm: CandidateScorer | None = None,
        *,
        hotwords: Hotwords | None = None,
        large_lm: LargeLm | None = None,
    ):
        """lm: helps the search; large_lm: ranks what it found."""
        self.model, self.tokenizer = model, tokenizer
        self.config, self.lm, self.hotwords, self.large_lm = config or DecodeConfig(), lm, hotwords, large_lm
        self.cancelled: Callable[[], bool] = never
        self.watcher: Watcher | None = None
        self.provisional = False
        """Whether somebody else decodes the same again, so that what looks wrong need not be."""
        if hotwords and self.config.correct_names:
            require_readings()
        table, words = tokenizer.table, hotwords.weights if hotwords else {}
        if wrong := [i for i in self.config.never_written if not 0 <= i < len(table)]:
            raise ConfigError(f"decode.never_written: {wrong[0]} is no id of {len(table)} tokens")
        self.biasing = (
            HotwordScorer(words, len(table), table.eos, self.config.hotword_margin, device=self.device)
            if words
            else None
        )

    @property
    def device(self) -> torch.device:
        return self.model.cmvn.mean.device

    @torch.inference_mode()
    def recognize(
        self,
        utterances: Sequence[np.ndarray],
        timed: bool = False,
        cancelled: Callable[[], bool] = never,
        *,
        watcher: Watcher | None = None,
        known: Sequence[Sequence[int]] = (),
    ) -> list[list[Recognized]]:
        """Arrays (S,) of 16 kHz samples → per utterance its n-best list, the best with the spans of its tokens if `timed`.

        The model is put in evaluation mode meanwhile. watcher: looks on. known: ids that each text begins with, not heeded
        where an utterance is too long for the model, nor where nobody speaks. Raises Cancelled soon after `cancelled` says so.
        """
        call, training = copy.copy(self), self.model.training
        # another thread may be decoding with this Recognizer, and is cancelled and watched by something else
        call.cancelled, call.watcher = cancelled, watcher
        if training:
            self.model.eval()
        try:
            parts = [cut_to_fit(samples, SAMPLE_RATE, self.model.longest_samples) for samples in utterances]
            for samples, some in zip(utterances, parts, strict=True):
                if watcher is not None and len(some) > 1:
                    watcher.cut(samples, some, ())
            pieces = [piece for some in parts for piece in some]
            known = known or [()] * len(parts)
            begun = [tokens if len(some) == 1 else () for tokens, some in zip(known, parts, strict=True) for _ in some]
            results: list[list[Recognized]] = [[] for _ in pieces]
            for batch in self.batches([len(piece) for piece in pieces]):
                chosen, texts = [pieces[i] for i in batch], [begun[i] for i in batch]
                for i, nbest in zip(batch, call._recognize_batch(chosen, timed, texts), strict=True):
                    results[i] = nbest
            left = iter(results)
            return [joined(some, [next(left) for _ in some], call._recognized) for some in parts]
        finally:
            if training:
                self.model.train()

    def _in_pieces(
        self,
        samples: np.ndarray,
        best: Hypothesis,
        reasons: tuple[str, ...],
        *,
        heard: Memory,
        timed: bool,
        known: Sequence[int],
    ) -> list[Recognized]:
        """Two halves decoded apart and joined, in place of a hypothesis that cannot be trusted; where that cannot be, what there
        is of it before it went wrong.

        heard: the memory of this utterance. known: ids that its text begins with.
        """
        halves = cut_in_two(samples, SAMPLE_RATE) if self.config.redecode else None
        if halves is not None:
            if self.watcher is not None:
                self.watcher.cut(samples, halves, reasons)
            begun = self._divided(known, samples, len(halves[0]), heard)
            return joined(halves, self._recognize_batch(halves, timed, begun), self._recognized, reasons)
        best = replace(best, warnings=tuple(dict.fromkeys(best.warnings + reasons)))
        if self.config.redecode:
            [attended] = self._followed([best], self.scorer(heard))
            best = shortened(best, attended, self.model.frame_seconds, least=len(known))
        return [self._recognized(best)]

    def _divided(self, known: Sequence[int], samples: np.ndarray, place: int, heard: Memory) -> list[tuple[int, ...]]:
        """What is known of the text of an utterance (S,), for its parts before and behind a sample: by when it was said."""
        table = self.tokenizer.table
        tokens = [token for token in known if token != table.eos]
        if not tokens:
            return list(parted(known, 0, table.eos))
        said = self.ctc_log_probs(heard) if self.model.ctc else self.scorer(heard).listened([tokens])
        [spans] = token_spans(self.model, table, [samples], [tokens], lengths=heard.lengths, heard=said)
        return list(parted(known, sum(start + end < 2 * place / SAMPLE_RATE for start, end in spans), table.eos))

    def _trusted_first(self, nbest: list[Hypothesis], heard: Memory) -> tuple[list[Hypothesis], tuple[str, ...]]:
        """What nothing is to be said against before what cannot be trusted, and why the first cannot; heard: of the utterance."""
        doubts = self._doubts(nbest, self.scorer(heard.rows([0] * len(nbest))))
        order = sorted(range(len(nbest)), key=lambda n: n in doubts)
        return [nbest[n] for n in order], doubts.get(order[0], ())

    def batches(self, lengths: list[int]) -> list[list[int]]:
        """Indices in groups whose padded length is at most `batch_seconds`, longest first."""
        lengths = self._filled(lengths)
        order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        budget = self.config.batch_seconds * SAMPLE_RATE
        return [[order[place] for place in group] for group in grouped([lengths[i] for i in order], budget)]

    def encode(self, utterances: Sequence[np.ndarray]) -> Memory:
        """Arrays (S,) of samples, best sorted by length → what the decoder listens to."""
        return encode(self.model, utterances, self.cancelled, windows=self._windows(utterances))

    def _windows(self, utterances: Sequence[np.ndarray]) -> list[int]:
        """Samples that each of these arrays is filled up to."""
        return self._filled([len(u) for u in utterances])

    def _filled(self, lengths: Sequence[int]) -> list[int]:
        config = self.config
        # a part is enough where what looks wrong is decoded again
        whole = config.window == AUTO and not (config.redecode or self.provisional)
        return window_samples(self.model, lengths, WHOLE if whole else config.window)

    def scorer(self, memory: Memory) -> NetworkScorer:
        """The decoder as it is searched, listening to this memory."""
        config = self.config
        table, temperature, barred = self.tokenizer.table, config.temperature, config.never_written
        return NetworkScorer(self.model, memory, table, temperature, never_written=barred, cancelled=self.cancelled)

    def limits(self, utterances: Sequence[np.ndarray]) -> list[int]:
        """Tokens that the text of each utterance (S,) may have: by its seconds, and by the decoder's positions."""
        longest = self.model.decoder.longest_text
        limits = [self.config.max_tokens(len(u) / SAMPLE_RATE) for u in utterances]
        return limits if longest is None else [min(limit, longest) for limit in limits]

    def _recognize_batch(
        self, utterances: Sequence[np.ndarray], timed: bool, known: Sequence[Sequence[int]]
    ) -> list[list[Recognized]]:
        windows = self._windows(utterances)
        memory = encode(self.model, utterances, self.cancelled, windows=windows)
        silence = no_speech_probabilities(self.model, memory, utterances)
        silent = [b for b, p in enumerate(silence) if self._is_silent(p)]
        if not silent or self.watcher is not None:  # whoever looks on sees what the search would find
            return self._search_batch(utterances, memory, timed, known, windows=windows, silence=silence)
        results = [[replace(NOTHING_SAID, no_speech=p)] for p in silence]
        heard = [b for b in range(len(utterances)) if b not in silent]
        if heard:
            chosen, begun = [utterances[b] for b in heard], [known[b] for b in heard]
            more = {"windows": [windows[b] for b in heard], "silence": [silence[b] for b in heard]}
            found = self._search_batch(chosen, memory.rows(heard), timed, begun, **more)
            for b, nbest in zip(heard, found, strict=True):
                results[b] = nbest
        return results

    def _is_silent(self, probability: float | None) -> bool:
        """Whether nobody speaks, of the probability of that."""
        return probability is not None and probability > self.config.no_speech

    def _search_batch(
        self,
        utterances: Sequence[np.ndarray],
        memory: Memory,
        timed: bool,
        known: Sequence[Sequence[int]],
        *,
        windows: Sequence[int],
        silence: Sequence[float | None],
    ) -> list[list[Recognized]]:
        """Results of utterances (S,), nothing for those in which nobody speaks. memory: what the decoder hears of them.

        windows: samples that each was filled up to. silence: how likely it is that nobody speaks in each.
        """
        scorer, limits = self.scorer(memory), self.limits(utterances)
        log_probs = self.ctc_log_probs(memory) if timed or self.config.ctc_weight else None
        watch = None if self.watcher is None else self.watcher.search()
        found = self._found(scorer, limits, memory, log_probs, watch, known)
        results: list[list[Recognized]] = [[] for _ in found]
        doubts = self._doubts([nbest[0] for nbest in found], scorer)
        whole = [self.model.encoded_samples(len(samples)) for samples in utterances]
        partly = [b for b, window in enumerate(windows) if self.config.redecode and window < whole[b]]
        narrow = misheard([nbest[0] for nbest in found], doubts, partly)
        for b, nbest in self._in_whole_windows(utterances, narrow, timed, known).items():
            results[b] = nbest
        for b in (b for b in doubts if not results[b]):
            heard = memory.rows([b])
            found[b], reasons = self._trusted_first(found[b], heard)
            if reasons:
                more = {"heard": heard, "timed": timed, "known": known[b]}
                results[b] = self._in_pieces(utterances[b], found[b][0], reasons, **more)
        for b in (b for b, p in enumerate(silence) if self._is_silent(p)):
            results[b] = [NOTHING_SAID]
        wanted = self.config.nbest
        results = [
            done or [self._recognized(h) for h in nbest[:wanted]] for done, nbest in zip(results, found, strict=True)
        ]
        if timed:
            texts = [None if nbest[0].spans else nbest[0].hypothesis.tokens for nbest in results]
            heard = scorer.listened(texts) if log_probs is None and any(texts) else log_probs
            timings = token_spans(
                self.model, self.tokenizer.table, utterances, texts, lengths=memory.lengths, heard=heard
            )
            for nbest, spans in zip(results, timings, strict=True):
                nbest[0] = replace(nbest[0], spans=spans or nbest[0].spans)
        for nbest, p in zip(results, silence, strict=True):
            if nbest[0].no_speech is None:  # else it was told of its parts
                nbest[0] = replace(nbest[0], no_speech=p)
        if watch is not None and self.watcher is not None:
            self.watcher.decoded(watch, Decoded(utterances, memory, log_probs, found, results))
        return results

    def _in_whole_windows(
        self,
        utterances: Sequence[np.ndarray],
        reasons: Mapping[int, tuple[str, ...]],
        timed: bool,
        known: Sequence[Sequence[int]],
    ) -> dict[int, list[Recognized]]:
        """Some of the utterances decoded again in all of the model's window. reasons: utterance → why; known: of all."""
        narrow = list(reasons)
        again = [utterances[b][:] for b in narrow]  # arrays of their own, for whoever looks on
        for b, samples in zip(narrow, again, strict=True):
            if self.watcher is not None:
                self.watcher.cut(utterances[b], (samples,), reasons[b])
        wide = copy.copy(self)
        wide.config = replace(self.config, window=WHOLE)
        results: dict[int, list[Recognized]] = {}
        for batch in wide.batches([len(samples) for samples in again]):
            chosen, begun = [again[i] for i in batch], [known[narrow[i]] for i in batch]
            for i, nbest in zip(batch, wide._recognize_batch(chosen, timed, begun), strict=True):
                results[narrow[i]] = nbest
        return results

    def _found(
        self,
        scorer: NetworkScorer,
        limits: list[int],
        memory: Memory,
        log_probs: Tensor | None,
        watch: Watch | None,
        known: Sequence[Sequence[int]],
    ) -> list[list[Hypothesis]]:
        """All hypotheses that the search ends with, ranked anew by what has a weight for that."""
        config, others = replace(self.config, nbest=self.config.beam), self.others(memory, log_probs)
        reverse = self.model.reverse_decoder
        reverse = reverse if config.reverse_weight else None
        searched = ContinuedScorer(scorer, known) if any(known) else scorer
        found = beam_search(searched, config, limits, others, watch=watch)
        if not all(found):
            raise AsrError("the model's scores are no numbers: its weights are damaged, or its training has diverged")
        if reverse is not None:
            state = reverse.start(memory.values, memory.mask)

            def log_probs_of(texts: Tensor) -> Tensor:
                return reverse(texts.to(self.device), state)[0].float().log_softmax(-1)

            found = rescore(found, log_probs_of, scorer.sos, scorer.eos, config=config)
        if config.coverage_weight:
            found = penalise_uncovered(found, lambda best: self._attended(best, scorer, -1.0), config)
        if (large := self.large_lm) is not None and config.large_lm_weight and config.beam > 1:
            found = prefer_likely_texts(found, self.tokenizer.decode, lambda t: large.nats(t, self.cancelled), config)
        return found

    def _attended(self, best: list[Hypothesis], scorer: NetworkScorer, nothing: float = 0.0) -> Tensor:
        """(B, U, L): where each token of a hypothesis, and eos, was listened for; `nothing` behind the audio."""
        mask = scorer.memory.mask[:, None].cpu()
        if self.model.decoder.alignment_heads:
            return torch.from_numpy(scorer.listened([h.tokens for h in best])).mean(1).masked_fill(~mask, nothing)
        tokens = decoder_inputs(self.tokenizer.table, [h.tokens for h in best]).to(self.device)
        return self.model.decoder.mean_alignment(tokens, scorer.initial).float().cpu().masked_fill(~mask, nothing)

    def _doubts(self, best: list[Hypothesis], scorer: NetworkScorer) -> dict[int, tuple[str, ...]]:
        """Utterance → why its best hypothesis cannot be trusted, for those of which that must be said."""
        frame, attended = self.model.frame_seconds, self._followed(best, scorer)
        doubts = {b: reasons_to_doubt(h, attended[b], frame) for b, h in enumerate(best)}
        return {b: reasons for b, reasons in doubts.items() if reasons}

    def _followed(self, best: list[Hypothesis], scorer: NetworkScorer) -> list[np.ndarray | None]:
        """Where each token of a hypothesis was listened for (U, L), of models whose attention says that."""
        if not self.model.decoder.alignment_heads and self.model.log_mel.config.window_seconds:
            return [None] * len(best)  # Whisper's last layer looks anywhere
        rows = self._attended(best, scorer).numpy()
        return [row[: len(h.tokens)] for row, h in zip(rows, best, strict=True)]

    def _recognized(self, hypothesis: Hypothesis) -> Recognized:
        found = Recognized(self.tokenizer.decode(hypothesis.tokens), hypothesis)
        return with_hotwords(found, self.tokenizer, self.hotwords, self.config)

    def ctc_log_probs(self, memory: Memory) -> Tensor | None:
        """(B, L, V) of the CTC head; None where the model has none."""
        return None if self.model.ctc is None else self.model.ctc_log_probs(memory)

    def others(self, memory: Memory, log_probs: Tensor | None) -> dict[str, tuple[CandidateScorer, float]]:
        """Scorers besides the decoder, with their weights. log_probs: of the CTC head, if it is to be one of them."""
        others: dict[str, tuple[CandidateScorer, float]] = {}
        if log_probs is not None and self.config.ctc_weight:
            table = self.tokenizer.table
            others["ctc"] = (CtcPrefixScorer(log_probs, memory.lengths, table.blank, table.eos), self.config.ctc_weight)
        if self.lm is not None:
            others["lm"] = (self.lm, self.config.lm_weight)
        if self.biasing is not None:
            others["hotwords"] = (self.biasing, 1.0)
        return others
