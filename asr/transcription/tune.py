"""`asr tune`: decoding settings chosen on a dev set, one after the other, and saved with the model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from asr.corpus.manifest import read_manifest
from asr.decoding.recognizer import Recognizer
from asr.decoding.settings import DecodeConfig
from asr.errors import AsrError
from asr.files import require_writable
from asr.scoring.cer import CharErrors, char_errors
from asr.transcription.models import find_model, language_model, open_model
from asr.transcription.settings import decode_settings, save_decode_settings

GRID: dict[str, tuple] = {
    "ctc_weight": (0.0, 0.2, 0.5, 1.0, 2.0),
    "lm_weight": (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2),
    "length_power": (0.0, 0.5, 1.0),
    "length_bonus": (0.0, 0.5, 1.0, 2.0),
    "beam": (1, 2, 4, 8, 12),
}
"""Setting → values to try, in the order in which they are settled."""


def tune(
    model: str | Path,
    manifest: Path,
    overrides: Sequence[str] = (),
    lm: str | Path | None = None,
    device: str = "auto",
    precision: str = "none",
    say: Callable[[str], None] = print,
) -> tuple[DecodeConfig, CharErrors]:
    """Tries each value of GRID with what was best before, and saves the best of all in the model's folder.

    What the model or the call does not have (a CTC head, a language model) is left out, and so is what `overrides` fix.
    A larger beam is taken only where it is at least 1 % better.
    """
    folder = find_model(model)
    require_writable(folder)
    loaded = open_model(folder, device, precision)
    utterances = read_manifest(manifest)
    audio = [u.read() for u in utterances]
    best = decode_settings(folder, overrides)
    # The weight that is tried may be above 0 where the saved one is not.
    scorer = language_model(folder, loaded, replace(best, lm_weight=best.lm_weight or 1.0), lm)

    def errors(config: DecodeConfig) -> CharErrors:
        results = Recognizer(loaded.model, loaded.tokenizer, config, scorer).recognize(audio)
        found = sum((char_errors(u.text, r[0].text) for u, r in zip(utterances, results, strict=True)), CharErrors())
        if not found.reference:
            raise AsrError(f"{manifest}: no utterance has a text to compare with")
        return found

    least = errors(best)
    say(f"as it is: {least}")
    for name, values in GRID.items():
        if (
            _is_fixed(name, overrides)
            or (name == "ctc_weight" and loaded.model.ctc is None)
            or (name == "lm_weight" and not scorer)
        ):
            continue
        for value in values:
            if value == getattr(best, name):
                continue
            config = replace(best, **{name: value}, **({"nbest": 1} if name == "beam" else {}))
            found = errors(config)
            say(f"{name} {value:g}: {found}")
            gain = 0.01 if name == "beam" and value > best.beam else 0.0
            if found.total < least.total * (1 - gain) or (
                name == "beam" and value < best.beam and found.total <= least.total
            ):
                best, least = config, found
    save_decode_settings(folder, best)
    return best, least


def _is_fixed(name: str, overrides: Sequence[str]) -> bool:
    return any(override.partition("=")[0].strip() == name for override in overrides)
