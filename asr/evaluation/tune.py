"""`asr tune`: decoding settings chosen on a dev set, one after the other, and saved with the model."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from asr.catalogue.decode_settings import changed_settings, decode_settings, save_decode_settings
from asr.catalogue.finding import find_model
from asr.catalogue.opening import Decoding, language_model, open_decoding, refuse_large, require_tokens
from asr.decoding.decode_config import NO_LM, DecodeConfig
from asr.decoding.kenlm_scorer import is_kenlm_binary
from asr.decoding.search import CandidateScorer
from asr.model.companions import language_model_of, put_language_model
from asr.model.folder import LoadedModel
from asr.places import require_writable
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors
from asr.training.evaluation import read_dev_sets

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
    where it is at least 1 % better. A language model that `decoding` names becomes the model's own where it helps. The model
    is never worse than it was: where nothing is better, it stays as it is. Each trial is said.
    """
    refuse_large(decoding.lm)
    folder = find_model(decoding.model)
    require_writable(folder)
    dev = read_dev_sets([manifest])[0]
    opened = open_decoding(replace(decoding, lm=NO_LM), tuned=True)
    own, loaded = decode_settings(folder), opened.loaded
    with TemporaryDirectory() as scratch:
        named = _as_kept(decoding, loaded, Path(scratch))
        lm = language_model(folder, loaded, replace(own, lm_weight=1.0), named)

        def errors(config: DecodeConfig, lm: CandidateScorer | None = lm) -> CharErrors:
            return dev.evaluate(Recognizer(loaded.model, loaded.tokenizer, config, lm, hotwords=opened.hotwords))

        began = errors(own, language_model(folder, loaded, own))
        say(f"as it is: {began}")
        start = _without(opened.settings, lm, folder)
        least = began
        if start != own or decoding.lm:
            least = errors(start)
            say(f"with what is asked for: {least}")
        left_out = {*changed_settings(decoding.settings), *(("lm_weight",) if lm is None else ())}
        if loaded.model.ctc is None:
            left_out.add("ctc_weight")
        best, least = _best(start, least, errors, left_out, say=say)
        if least.total > began.total:
            say("nothing of this is better than the model as it is, which stays so")
            return own, began
        say(
            f"{manifest}: its rate is that of the best of all trials; other recordings tell what the settings are worth"
        )
        if decoding.lm and lm is not None and best.lm_weight:
            path = put_language_model(Path(named), folder, loaded.tokenizer.table.tokens, loaded.tokenizer.table.eos)
            say(f"{path}: the model's language model is now {decoding.lm}")
        save_decode_settings(folder, best)
    return best, least


def _as_kept(decoding: Decoding, loaded: LoadedModel, scratch: Path) -> str | Path | None:
    """The language model that is asked for, as the model's folder would hold it: an ARPA file packed, which rounds it."""
    lm = decoding.lm
    if not lm or str(lm) == NO_LM or Path(lm).is_dir() or is_kenlm_binary(Path(lm)):
        return lm
    require_tokens(loaded, Path(lm))
    return put_language_model(Path(lm), scratch, loaded.tokenizer.table.tokens, loaded.tokenizer.table.eos)


def _without(settings: DecodeConfig, lm: CandidateScorer | None, folder: Path) -> DecodeConfig:
    """The settings, without a weight for a language model that the model has but is not to use."""
    return replace(settings, lm_weight=0.0) if lm is None and language_model_of(folder) else settings


def _best(
    best: DecodeConfig,
    least: CharErrors,
    errors: Callable[[DecodeConfig], CharErrors],
    left_out: Collection[str],
    *,
    say: Callable[[str], None],
) -> tuple[DecodeConfig, CharErrors]:
    """The best settings that GRID leads to, one setting after the other, and their errors."""
    for name, values in GRID.items():
        if name in left_out:
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
    return best, least
