"""`asr tune`: decoding settings chosen on a dev set, one after the other, and saved with the model."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from asr.catalogue.decode_settings import save_decode_settings
from asr.catalogue.finding import find_model
from asr.catalogue.opening import Decoding, open_decoding
from asr.corpus.manifest import read_manifest
from asr.decoding.decode_config import DecodeConfig
from asr.errors import AsrError
from asr.files import require_writable
from asr.scoring.cer import CharErrors, char_errors

GRID: dict[str, tuple] = {
    "ctc_weight": (0.0, 0.2, 0.5, 1.0, 2.0),
    "lm_weight": (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2),
    "length_power": (0.0, 0.5, 1.0),
    "length_bonus": (0.0, 0.5, 1.0, 2.0),
    "beam": (1, 2, 4, 8, 12),
}
"""Setting → values to try, in the order in which they are settled."""


def tune(
    decoding: Decoding, manifest: Path, *, say: Callable[[str], None] = lambda line: None
) -> tuple[DecodeConfig, CharErrors]:
    """Tries each value of GRID with what was best before, and saves the best of all in the model's folder.

    What is not there (a CTC head, a language model) is left out, and so is what `decoding` sets. A larger beam is taken only
    where it is at least 1 % better. Each trial is said.
    """
    require_writable(find_model(decoding.model))
    opened = open_decoding(decoding, tuned=True)
    utterances = read_manifest(manifest)
    audio = [u.read() for u in utterances]
    best = opened.settings

    def errors(config: DecodeConfig) -> CharErrors:
        results = opened.recognizer(config).recognize(audio)
        found = sum((char_errors(u.text, r[0].text) for u, r in zip(utterances, results, strict=True)), CharErrors())
        if not found.reference:
            raise AsrError(f"{manifest}: no utterance has a text to compare with")
        return found

    fixed = decoding.settings if isinstance(decoding.settings, Mapping) else asdict(decoding.settings)
    least = errors(best)
    say(f"as it is: {least}")
    for name, values in GRID.items():
        if (
            name in fixed
            or (name == "ctc_weight" and opened.loaded.model.ctc is None)
            or (name == "lm_weight" and not opened.lm)
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
    save_decode_settings(opened.folder, best)
    return best, least
