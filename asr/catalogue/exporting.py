"""What a model is, in words; a copy of it in fewer bits; a language model put into its folder."""

import shutil
from pathlib import Path

from asr.audio.reading import SAMPLE_RATE
from asr.catalogue.finding import find_model
from asr.catalogue.opening import require_tokens
from asr.decoding.ngram_file import pack, read_ngrams
from asr.folders import whole_folder
from asr.model.folder import DECODE, LM, PIECES, WEIGHTS, LoadedModel, load_model, refuse_folder, save_model, writing
from asr.model.storage import check_dtype


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
    source: str | Path, out: str | Path, card: Path | None = None, dtype: str = "float16", *, force: bool = False
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
        save_model(new, loaded.model, loaded.tokenizer.table, metadata, card=text, dtype=dtype)
        for name in (PIECES, DECODE, LM):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, new / name)
    return (out / WEIGHTS).stat().st_size


def add_lm(folder: str | Path, lm: Path) -> int:
    """Packs an ARPA file into a model's folder; returns the bytes it takes there."""
    folder = find_model(folder)
    loaded = load_model(folder)
    require_tokens(loaded, lm)
    table = loaded.tokenizer.table
    return pack(read_ngrams(lm, table.tokens, table.eos), folder / LM, table.tokens)
