"""Finding models, describing them, making them smaller, and the language model that one may come with."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from asr.audio.reading import SAMPLE_RATE
from asr.decoding.kenlm_scorer import KenlmScorer, is_kenlm_binary
from asr.decoding.network_lm import NetworkLm
from asr.decoding.ngram import NgramScorer
from asr.decoding.ngram_file import pack, read_ngrams, words_of
from asr.decoding.search import CandidateScorer
from asr.decoding.settings import DecodeConfig
from asr.errors import AsrError, CheckpointError
from asr.folders import put_back, whole_folder
from asr.interop.published import PUBLISHED
from asr.model.device import pick_device
from asr.model.folder import DECODE, LM, PIECES, WEIGHTS, LoadedModel, load_model, refuse_folder, save_model, writing
from asr.model.inference import ready_to_decode
from asr.model.language_model import load_language_model
from asr.model.storage import check_dtype
from asr.printable import printable
from asr.text.byte_pairs import BytePairTokenizer
from asr.text.normalize import holds_han
from asr.transcription.settings import NO_LM

KEPT_KERNELS = "64"
"""Compiled kernels that oneDNN keeps. Left alone it keeps 1,024, one for each shape it meets, which is faster by a twentieth or a
little more, and takes 0.4 GB in ten hours of audio (benchmarks/README.md)."""
PRETRAINED = Path(__file__).parent.parent / "pretrained"
DEFAULT = "embedded"


def find_model(name: str | Path = "") -> Path:
    """The folder of a model: a path, the name of one that came with the program (the default one without a name), or
    of a published one, which is fetched if it was not before; what is fetched, and how much, is said on stderr."""
    name = str(name) or DEFAULT
    if put_back(Path(name)) and Path(name).is_dir():
        return Path(name)
    if (PRETRAINED / name / WEIGHTS).is_file():
        return PRETRAINED / name
    if name in PUBLISHED:
        from asr.interop.pull import pull  # brings what speaks HTTP: others need not wait for it

        return pull(name, say=lambda line: print(printable(line), file=sys.stderr, flush=True))
    own = ", ".join(sorted(p.parent.name for p in PRETRAINED.glob(f"*/{WEIGHTS}"))) or "none"
    raise CheckpointError(
        f"{name}: no such model folder, none of the models that came with the program ({own}), and none of the published"
        f" ones ({', '.join(PUBLISHED)})"
    )


def hint_at_larger_models(model: str | Path, say: Callable[[str], None]) -> None:
    """Says once per machine, to a person at a terminal, that the embedded model is not all there is."""
    if not sys.stderr.isatty() or str(model) not in ("", DEFAULT) or Path(DEFAULT).is_dir():
        return
    from asr.interop.pull import cache

    said = cache() / "hint-said"
    try:
        said.parent.mkdir(parents=True, exist_ok=True)
        said.touch(exist_ok=False)
    except OSError:  # said before, or nowhere to remember that it was
        return
    say("asr: this was the small model that comes with the program; larger published ones: asr model list")


def results_folder(model: Path) -> Path:
    """Where results of a model go if nobody says: into its folder, unless that is shared or came with the program."""
    from asr.interop.pull import cache

    shared = PRETRAINED in model.parents or cache() in model.parents
    return Path("eval") / model.name if shared else model / "eval"


def open_model(
    name: str | Path = "", device: str = "auto", *, quantize: str = "none", greedy: bool = False
) -> LoadedModel:
    """Loads a model by path or name onto a device, to decode with.

    `quantize`: one of asr.model.inference.PRECISIONS. `greedy`: whether it will be searched with a beam of 1.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KEPT_KERNELS)  # read when the first kernel is compiled
    loaded = load_model(find_model(name), pick_device("cpu" if quantize == "int8" and device == "auto" else device))
    return replace(loaded, model=ready_to_decode(loaded.model, quantize, greedy))


def language_model(
    folder: Path, loaded: LoadedModel, config: DecodeConfig, lm: str | Path | None = None
) -> CandidateScorer | None:
    """The language model `lm`, a file of n-grams or the folder of a network; without a name the one in the model's folder,
    if there is one; None for "none"."""
    path = Path(lm) if lm else folder / LM
    if str(lm) == NO_LM or not config.lm_weight or (not lm and not path.is_file()):
        return None
    _require_tokens(loaded, path)
    table, device = loaded.tokenizer.table, loaded.model.cmvn.mean.device
    if path.is_dir():
        network, own = load_language_model(path, device)
        return NetworkLm(network, own, table.tokens, table.sos, table.eos, device, path)
    if is_kenlm_binary(path):
        return KenlmScorer(path, table.tokens, table.eos)
    return NgramScorer(path, table.tokens, table.eos, device)


def _require_tokens(loaded: LoadedModel, lm: Path) -> None:
    """Raises AsrError for a language model of characters where the model's tokens are bytes."""
    if not isinstance(loaded.tokenizer, BytePairTokenizer):
        return
    if lm.is_dir() or is_kenlm_binary(lm) or any(holds_han(word) for word in words_of(lm)):
        raise AsrError(
            f"{lm}: is a language model of characters, the tokens of {loaded.name} are bytes of UTF-8;"
            f" asr train-lm --tokens {loaded.name} makes one of these"
        )


def add_lm(folder: str | Path, lm: Path) -> int:
    """Packs an ARPA file into a model's folder; returns the bytes it takes there."""
    folder = find_model(folder)
    loaded = load_model(folder)
    _require_tokens(loaded, lm)
    table = loaded.tokenizer.table
    return pack(read_ngrams(lm, table.tokens, table.eos), folder / LM, table.tokens)


def describe(loaded: LoadedModel) -> list[str]:
    """What a person wants to know of a model, a line each."""
    config, features = loaded.model.config, loaded.model.log_mel.config
    encoder, decoder = config.encoder, config.decoder
    parameters = sum(p.numel() for p in loaded.model.parameters())
    return [
        f"name        {loaded.name}",
        f"parameters  {parameters / 1e6:.2f} M",
        f"encoder     {encoder.kind}, {encoder.layers} layers, width {encoder.width}, {encoder.heads} heads,"
        f" feed-forward {encoder.feed_forward}, one memory frame per {config.subsampling.factor * features.shift_ms:g} ms",
        f"decoder     {decoder.layers} layers, {decoder.heads} heads, feed-forward {decoder.feed_forward}",
        f"CTC head    {'yes' if config.ctc else 'no'}",
        f"tokens      {len(loaded.tokenizer.table):,}, fingerprint {loaded.tokenizer.table.fingerprint}",
        f"features    {features.n_mels} log-mel bins, {SAMPLE_RATE} Hz",
        *(
            f"{key:11} {value}"
            for key, value in sorted(loaded.metadata.items())
            if key not in ("golden", "tokens", "settings")
        ),
    ]


def export(
    source: str | Path, out: str | Path, card: Path | None = None, dtype: str = "float16", force: bool = False
) -> int:
    """Writes a model folder with weights in `dtype` and all else that decoding takes; returns the bytes of its weights.

    `force`: in place of the model that is there, whose other files stay. Killed, `out` is what it was before.
    """
    check_dtype(dtype)
    folder, out = find_model(source), Path(out)
    refuse_folder(out, force)
    loaded = load_model(folder)
    metadata = {k: v for k, v in loaded.metadata.items() if k not in ("golden", "tokens")}
    text = card.read_text(encoding="utf-8") if card else None
    with writing(out), whole_folder(out, (PIECES, DECODE, LM)) as new:
        save_model(new, loaded.model, loaded.tokenizer.table, metadata, text, dtype)
        for name in (PIECES, DECODE, LM):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, new / name)
    return (out / WEIGHTS).stat().st_size
