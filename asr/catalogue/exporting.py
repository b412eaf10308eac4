"""What a model is, in words; a copy of it in fewer bits, or for another program; a language model put into its folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asr.audio.reading import SAMPLE_RATE
from asr.catalogue.decode_settings import decode_settings
from asr.catalogue.finding import find_model
from asr.catalogue.opening import language_model, refuse_large
from asr.decoding.decode_config import DecodeConfig
from asr.errors import CheckpointError
from asr.exporting.onnx_files import require_onnx
from asr.exporting.sherpa import left_behind, write_forms
from asr.folders import put_back, whole_folder
from asr.foreign_bytes import shortened
from asr.model.bases import is_adapted, read_adapter
from asr.model.companions import (
    belonging,
    copy_companions,
    copy_file,
    language_model_of,
    licences,
    put_language_model,
)
from asr.model.folder import (
    CARD,
    WEIGHTS,
    LoadedModel,
    load_model,
    read_decode,
    save_model,
    weights_file,
    writing,
)
from asr.model.lineage import FROM, came_from
from asr.model.replacing import refuse_folder, refuse_model
from asr.model.storage import OF_THE_NUMBERS, check_dtype
from asr.places import require_replaceable, require_writable

MODEL_CARD = "MODEL_CARD.md"
"""What a model's card is called beside ONNX files, where README.md says how they are used."""
CARD_SHOWN = 500
"""Characters of a model's card that are shown: what it is, which stands first."""


@dataclass(frozen=True)
class Exported:
    """What was written for sherpa-onnx."""

    size: int
    """Bytes of all files."""
    loaders: tuple[str, ...]
    """The methods of its OfflineRecognizer that load them."""
    left_behind: tuple[str, ...]
    """What the model is decoded with here that is not there."""


def describe(loaded: LoadedModel, folder: Path | None = None) -> list[str]:
    """What a person wants to know of a model, a line each; of a `folder`, what lies beside the network, too."""
    config, features = loaded.model.config, loaded.model.log_mel.config
    encoder, decoder = config.encoder, config.decoder
    parameters = sum(p.numel() for p in loaded.model.parameters())
    return [
        f"name        {loaded.name}",
        f"parameters  {parameters / 1e6:.2f} M",
        f"encoder     {encoder.kind}, {encoder.layers} layers, width {encoder.width}, {encoder.heads} heads,"
        f" feed-forward {encoder.feed_forward}, one memory frame per {config.subsampling.factor * features.shift_ms:g} ms",
        f"decoder     {decoder.layers} layers,{f' width {config.decoder_width},' if config.decoder_width else ''}"
        f" {decoder.heads} heads, feed-forward {decoder.feed_forward}",
        f"CTC head    {'yes' if config.ctc else 'no'}",
        *(["no speech   its head tells where nobody speaks"] if loaded.model.no_speech else []),
        f"tokens      {len(loaded.tokenizer.table):,}, fingerprint {loaded.tokenizer.table.fingerprint}",
        f"features    {features.n_mels} log-mel bins, {SAMPLE_RATE} Hz",
        f"comes from  {came_from(loaded.metadata)}",
        *(_beside(folder) if folder else ()),
        *(
            f"{key:11} {value}"
            for key, value in sorted(loaded.metadata.items())
            if key not in (*OF_THE_NUMBERS, "settings", FROM)
        ),
    ]


def _beside(folder: Path) -> Iterator[str]:
    """What a model folder holds besides the network."""
    if is_adapted(folder):
        adapter, size = read_adapter(folder), weights_file(folder).stat().st_size
        yield f"adapters    rank {adapter.lora.rank}, of {adapter.base} (fingerprint {adapter.fingerprint}), {size / 1e6:.1f} MB"
    if lm := language_model_of(folder):
        yield f"LM          {lm.name}"
    if settings := read_decode(folder):
        yield f"decoding    {', '.join(f'{name} {shortened(str(value))}' for name, value in settings.items())}"
    if (folder / CARD).is_file():
        paragraphs = (folder / CARD).read_text(encoding="utf-8", errors="replace").strip().split("\n\n")
        begins = [
            " ".join(paragraph.split()).lstrip("# ") for paragraph in paragraphs[:2] if not paragraph.startswith("|")
        ]
        yield f"card        {CARD}: {shortened('. '.join(begins), CARD_SHOWN)}"
    if files := licences(folder):
        yield f"licence in  {', '.join(path.name for path in files)}"


def export(
    source: str | Path, out: str | Path, card: Path | None = None, dtype: str = "float16", *, force: bool = False
) -> int:
    """Writes a model folder with weights in `dtype` and all else that belongs to the model: what decoding takes, its card,
    its licence; returns the bytes of its weights.

    `card`: another one. `force`: in place of the model that is there, whose other files stay. Killed, `out` is what it was
    before.
    """
    check_dtype(dtype)
    folder, out = find_model(source), Path(out)
    refuse_folder(out, force)
    loaded = load_model(folder)
    metadata = {k: v for k, v in loaded.metadata.items() if k not in OF_THE_NUMBERS}
    text = card.read_text(encoding="utf-8") if card else None
    with writing(out), whole_folder(out, belonging(out)) as new:
        if text is None and (folder / CARD).is_file():
            copy_file(folder / CARD, new / CARD)
        save_model(new, loaded.model, loaded.tokenizer.table, metadata, card=text, dtype=dtype)
        copy_companions(folder, new, loaded.tokenizer.table.tokens)
    return (out / WEIGHTS).stat().st_size


def export_onnx(source: str | Path, out: str | Path, dtype: str = "float16", *, force: bool = False) -> Exported:
    """Writes a folder of ONNX files that sherpa-onnx loads, with what it takes for tokens, a page that says how, the model's card
    and its licence. Killed, `out` is what it was before.

    `force`: in place of the ONNX files that are there. Raises CheckpointError for a model that cannot be expressed there, and
    UsageError without the extra `export`.
    """
    check_dtype(dtype)
    require_onnx()
    folder, out = find_model(source), Path(out)
    _refuse_onnx_folder(out, force)
    loaded = load_model(folder)
    old = tuple(path.name for path in out.iterdir()) if out.is_dir() else ()
    with writing(out), whole_folder(out, old) as new:
        forms = write_forms(loaded, decode_settings(folder), new, dtype)
        if (folder / CARD).is_file():
            copy_file(folder / CARD, new / MODEL_CARD)
        for path in licences(folder):
            copy_file(path, new / path.name)
    size = sum(path.stat().st_size for path in out.iterdir())
    return Exported(size, tuple(form.loader for form in forms), tuple(left_behind(loaded, language_model_of(folder))))


def _refuse_onnx_folder(out: Path, force: bool) -> None:
    """Raises CheckpointError where something else than ONNX files would be lost."""
    put_back(out)
    if out.exists() and not out.is_dir():
        raise CheckpointError(f"{out}: is a file, no folder; choose another name")
    refuse_model(out, force)
    if out.is_dir() and any(out.iterdir()) and not any(out.glob("*.onnx")):
        raise CheckpointError(f"{out}: holds files but no ONNX model; --force only overwrites a folder of such")
    require_replaceable(out)


def add_lm(folder: str | Path, lm: Path) -> Path:
    """Puts a language model into a model's folder, an ARPA file packed; returns where it lies there."""
    refuse_large(lm)
    folder = find_model(folder)
    require_writable(folder)
    loaded = load_model(folder)
    language_model(folder, loaded, DecodeConfig(), lm)  # raises where it cannot be used
    return put_language_model(lm, folder, loaded.tokenizer.table.tokens, loaded.tokenizer.table.eos)
