"""An exported model put to work: arrays of samples to texts, one utterance after the other."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.decoding.decode_config import AUTO, NO_LM, DecodeConfig
from asr.decoding.hypothesis import Hypothesis
from asr.decoding.wordlists import Hotwords
from asr.errors import AsrError, UsageError
from asr.exported.decoder import ListeningDecoder
from asr.exported.folder import LM, EncoderOutput, ExportedModel
from asr.exported.hotwords import HotwordBonus
from asr.exported.scorers import CtcPrefixes, Ngrams
from asr.exported.search import RULES, beam_search
from asr.recognition.alignment import best_path, ctc_evidence
from asr.recognition.frames import attended_path, frame_spans
from asr.recognition.guards import cut_in_two, cut_to_fit, reasons_to_doubt, shortened
from asr.recognition.joining import joined
from asr.recognition.names import require_readings, with_hotwords
from asr.recognition.recognized import NOTHING_SAID, Recognized
from asr.stopping import never
from asr.transcript import Span

IN_THE_GRAPH = ("temperature", "eos_threshold", "never_written")
"""Decoding settings that an export takes into the graph of the decoder."""
ELSEWHERE = ("reverse_weight", "coverage_weight")
"""Those that only the search in PyTorch knows."""


def check_settings(config: DecodeConfig, exported: DecodeConfig, window: float = 0.0) -> None:
    """Raises UsageError for settings that an exported model cannot be searched with.

    exported: those it was exported with. window: seconds that its graph hears of whatever is said, 0 where it hears no more than
    that.
    """
    for name in IN_THE_GRAPH:
        if getattr(config, name) != getattr(exported, name):
            raise UsageError(f"decode.{name} is part of the exported graph: export the model with another one")
    for name in ELSEWHERE:
        if getattr(config, name):
            raise UsageError(f"decode.{name} is not possible with --backend onnx; --decode {name}=0 does without")
    if config.window != AUTO and config.window < window:
        raise UsageError(
            f"decode.window is part of the exported graph, which hears its whole {window:g} s: --decode window=auto"
        )
    if config.rule not in RULES:
        raise UsageError(
            f"decode.rule {config.rule} is not possible with --backend onnx, which knows {', '.join(RULES)}: --decode rule=own"
        )


class ExportedRecognizer:
    """Decodes utterances with an exported model."""

    def __init__(
        self,
        model: ExportedModel,
        config: DecodeConfig,
        lm: str | Path | None = None,
        *,
        hotwords: Hotwords | None = None,
    ):
        """lm: n-grams in the place of those in the folder, "none" for none."""
        if hotwords and config.correct_names:
            require_readings()
        self.model, self.config, self.hotwords = model, config, hotwords
        self.tokenizer, table = model.tokenizer, model.tokenizer.table
        path = Path(lm) if lm else model.folder / LM
        wanted = str(lm) != NO_LM and config.lm_weight and (lm or path.is_file())
        self.lm = Ngrams(path, table.tokens, table.eos) if wanted else None
        words = hotwords.weights if hotwords else {}
        self.biasing = HotwordBonus(words, len(table), table.eos, config.hotword_margin) if words else None

    def recognize(
        self, utterances: Sequence[np.ndarray], timed: bool = False, cancelled: Callable[[], bool] = never
    ) -> list[list[Recognized]]:
        """Arrays (S,) of 16 kHz samples → per utterance its n-best list, the best with the spans of its tokens if `timed`."""
        results = []
        for samples in utterances:
            parts = cut_to_fit(samples, SAMPLE_RATE, self.model.longest_samples)
            results.append(joined(parts, [self._recognize(part, timed, cancelled) for part in parts], self._recognized))
        return results

    def _recognize(self, samples: np.ndarray, timed: bool, cancelled: Callable[[], bool]) -> list[Recognized]:
        heard = self.model.hear(samples)
        silence = self.model.no_speech(heard, len(samples))
        if silence is not None and silence > self.config.no_speech:
            return [replace(NOTHING_SAID, no_speech=silence)]
        decoder = ListeningDecoder(self.model, heard, cancelled)
        nbest = beam_search(decoder, self.config, self._limit(samples), self._others(heard))
        if not nbest:
            raise AsrError("the model's scores are no numbers: its weights are damaged, or its training has diverged")
        doubts = self._doubts(nbest[0], decoder)
        if doubts:
            all_doubts = [doubts, *(self._doubts(h, decoder) for h in nbest[1:])]
            order = sorted(range(len(nbest)), key=lambda n: bool(all_doubts[n]))
            nbest, doubts = [nbest[n] for n in order], all_doubts[order[0]]
        if doubts:
            halves = cut_in_two(samples, SAMPLE_RATE) if self.config.redecode else None
            if halves is not None:
                return joined(
                    halves, [self._recognize(half, timed, cancelled) for half in halves], self._recognized, doubts
                )
            best = replace(nbest[0], warnings=tuple(dict.fromkeys(nbest[0].warnings + doubts)))
            if self.config.redecode:
                best = shortened(best, self._followed(best, decoder), self.model.frame_seconds)
            nbest = [best]
        found = [self._recognized(h) for h in nbest[: self.config.nbest]]
        found[0] = replace(found[0], no_speech=silence)
        if timed:
            found[0] = replace(found[0], spans=self._spans(found[0].hypothesis.tokens, samples, heard, decoder))
        return found

    def _recognized(self, hypothesis: Hypothesis) -> Recognized:
        found = Recognized(self.tokenizer.decode(hypothesis.tokens), hypothesis)
        return with_hotwords(found, self.tokenizer, self.hotwords, self.config)

    def _limit(self, samples: np.ndarray) -> int:
        limit, longest = self.config.max_tokens(len(samples) / SAMPLE_RATE), self.model.longest_text
        return limit if longest is None else min(limit, longest)

    def _others(self, heard: EncoderOutput) -> dict:
        table, others = self.tokenizer.table, {}
        if heard.ctc is not None and self.config.ctc_weight:
            others["ctc"] = (CtcPrefixes(heard.ctc, table.blank, table.eos), self.config.ctc_weight)
        if self.lm is not None:
            others["lm"] = (self.lm, self.config.lm_weight)
        if self.biasing is not None:
            others["hotwords"] = (self.biasing, 1.0)
        return others

    def _doubts(self, hypothesis: Hypothesis, decoder: ListeningDecoder) -> tuple[str, ...]:
        return reasons_to_doubt(hypothesis, self._followed(hypothesis, decoder), self.model.frame_seconds)

    def _followed(self, hypothesis: Hypothesis, decoder: ListeningDecoder) -> np.ndarray | None:
        """(U, L): where each token was listened for, of models whose attention says that."""
        if not self.model.attention_is_trusted:
            return None
        heads = decoder.attention(hypothesis.tokens)
        return (heads if self.model.heads_are_known else heads[-self.model.heads :]).mean(0)

    def _spans(
        self, tokens: Sequence[int], samples: np.ndarray, heard: EncoderOutput, decoder: ListeningDecoder
    ) -> tuple[Span, ...]:
        if not len(tokens):
            return ()
        length = self.model.spoken_frames(heard.keys.shape[2], len(samples))
        if heard.ctc is not None:
            path = best_path(ctc_evidence(heard.ctc[:length], tokens, self.tokenizer.table.blank))
        else:
            path = attended_path(self.model, decoder.attention(tokens)[:, :, :length], samples)
        # too many of them: one after the other
        frames = path.peaks if path else np.linspace(0, length - 1, len(tokens))
        return tuple(frame_spans(self.model, frames, samples))
