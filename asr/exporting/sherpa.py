"""A model as sherpa-onnx's offline recognizer loads it: which of its forms fits, with which metadata, files and tokens.

The names of files, inputs, outputs and metadata are sherpa-onnx's own; README.md beside this file says which model fits which.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from asr.decoding.decode_config import DecodeConfig
from asr.errors import CheckpointError
from asr.exported.folder import CTC, NO_SPEECH
from asr.exporting.form import Form, GraphFile
from asr.exporting.graphs import CtcGraph, EncoderGraph, StepGraph, WhisperEncoderGraph
from asr.exporting.onnx_files import Graph, write_onnx
from asr.exporting.own import write_own
from asr.exporting.page import page
from asr.features.fbank import FeatureConfig
from asr.files import write_file
from asr.model.folder import LoadedModel
from asr.model.model import SpeechModel
from asr.text.byte_pairs import BytePairTokenizer, byte_symbols
from asr.text.tokenizer import TokenTable

TOKENS = "tokens.txt"
MOST_TOKENS = 200
"""Tokens of a text, of models without learned positions. sherpa-onnx fills half of the room that it is told of, and
copies all of it in every step."""
KALDI = FeatureConfig()
"""What sherpa-onnx computes for FireRedASR: our default."""
WHISPER = replace(
    KALDI,
    kind="stft",
    low_hz=0.0,
    preemphasis=0.0,
    sample_scale=1.0,
    window="hann",
    fft_size=400,
    filters="slaney",
    floor=1e-10,
    decibels=True,
    range_db=80.0,
)
"""What it computes for Whisper, of any number of mel bins."""
NO_MATTER = ("dither", "unit", "edges")
"""Settings of features that matter in training alone, or of the edges of a recording."""
EXAMPLE_FRAMES = (120, 90)
CACHES = ("in_n_layer_self_k_cache", "in_n_layer_self_v_cache")
CROSS = ("n_layer_cross_k", "n_layer_cross_v")
ATTENTION = "attention"
"""What our own search takes besides; sherpa-onnx looks at the outputs before them."""


def forms_of(loaded: LoadedModel, settings: DecodeConfig) -> list[Form]:
    """The forms that a model has. Raises CheckpointError where it has none, and says why."""
    model, table = loaded.model, loaded.tokenizer.table
    features = model.log_mel.config
    if features.kind == "stft":
        _require(
            loaded, features, replace(WHISPER, n_mels=features.n_mels), "Whisper", ("window_seconds", "tail_seconds")
        )
        if not model.config.decoder.prompt:
            raise CheckpointError(
                f"{loaded.name}: has no prompt, which sherpa-onnx puts before the texts of Whisper models"
            )
        return [_whisper(loaded, settings)]
    _require(loaded, features, KALDI, "FireRedASR", ())
    if isinstance(loaded.tokenizer, BytePairTokenizer):
        raise CheckpointError(
            f"{loaded.name}: its tokens are byte pairs, which sherpa-onnx only knows of Whisper models"
        )
    if model.config.decoder.prompt:
        raise CheckpointError(
            f"{loaded.name}: has a prompt before its texts, which sherpa-onnx only knows of Whisper models"
        )
    # sherpa-onnx makes bytes of <0x10> to <0xFF>, where all 256 are listed; below are no characters that anybody says
    control = [i for i, byte in table.bytes.items() if byte < 0x10]
    settings = replace(settings, never_written=(*settings.never_written, *control))
    forms = [_firered(model, table, settings)]
    if model.ctc is not None:
        forms.append(_firered_ctc(model, table, settings))
    return forms


def _require(
    loaded: LoadedModel, features: FeatureConfig, expected: FeatureConfig, form: str, free: Sequence[str]
) -> None:
    """Raises CheckpointError where sherpa-onnx would compute other features than the model was trained on."""
    for name in FeatureConfig.__dataclass_fields__:
        ours, theirs = getattr(features, name), getattr(expected, name)
        same = ours == theirs or (isinstance(ours, float) and abs(ours - theirs) <= 1e-6 * abs(theirs))
        same |= name == "fft_size" and features.n_fft == expected.n_fft
        if not same and name not in (*NO_MATTER, *free):
            raise CheckpointError(
                f"{loaded.name}: cannot be expressed for sherpa-onnx: its features.{name} is {ours}, and for {form} models, the"
                f" nearest that there are, sherpa-onnx computes features with {theirs}"
            )


def _firered(model: SpeechModel, table: TokenTable, settings: DecodeConfig) -> Form:
    """FireRedASR's form of encoder and decoder: Kaldi's features, normalised by statistics in the metadata."""
    room = 2 * (model.decoder.longest_text or MOST_TOKENS)
    room = min(room, len(model.decoder.places.weight)) if model.decoder.places is not None else room
    heads, width = model.decoder.heads, model.decoder_width
    metadata = {
        "model_type": "fire-red-asr",
        "num_decoder_layers": len(model.decoder.layers),
        "num_head": heads,
        "head_dim": width // heads,
        "sos": table.sos,
        "eos": table.eos,
        "max_len": room,
        **_statistics(model),
    }

    def encoder() -> Graph:
        ctc = () if model.ctc is None else (CTC,)
        return _of_features(EncoderGraph(model), model, (*CROSS, *ctc, *_no_speech(model)))

    def step() -> Graph:
        cache = torch.zeros(len(model.decoder.layers), 2, room, heads, width // heads)
        return _step(StepGraph(model, table, settings, room), model, cache)

    parts = [GraphFile("encoder", encoder, metadata), GraphFile("decoder", step, {"model_type": "fire-red-asr"})]
    return Form("from_fire_red_asr", {"encoder": "encoder", "decoder": "decoder"}, parts)


def _firered_ctc(model: SpeechModel, table: TokenTable, settings: DecodeConfig) -> Form:
    """FireRedASR's form of an encoder with a CTC head."""
    metadata = {
        "model_type": "fire-red-asr-2-ctc",
        "vocab_size": len(table),
        "subsampling_factor": model.config.subsampling.factor,
        **_statistics(model),
    }
    never = sorted({*table.never_written, *settings.never_written, *table.silent} - {table.blank})

    def graph() -> Graph:
        return _of_features(CtcGraph(model, never), model, ("log_probs", "log_probs_len"))

    return Form("from_fire_red_asr_ctc", {"model": "model"}, [GraphFile("model", graph, metadata)])


def _whisper(loaded: LoadedModel, settings: DecodeConfig) -> Form:
    """Whisper's form; the model is said to know one language, so that nothing replaces its prompt."""
    model, table = loaded.model, loaded.tokenizer.table
    prompt = model.config.decoder.prompt
    room = 2 * MOST_TOKENS if model.decoder.places is None else len(model.decoder.places.weight)
    width, layers = model.decoder_width, len(model.decoder.layers)
    metadata = {
        "model_type": f"whisper-{loaded.name}",
        "n_mels": model.log_mel.config.n_mels,
        "n_audio_layer": len(model.encoder.blocks),
        "n_audio_state": width,
        "n_text_layer": layers,
        "n_text_ctx": room,
        "n_text_state": width,
        "n_text_head": model.decoder.heads,
        "n_vocab": len(table),
        "sot_sequence": ",".join(map(str, prompt)),
        "sot": prompt[0],
        "eot": table.eos,
        "no_timestamps": table.sos,
        "no_speech": table.blank,
        "blank_id": table.blank,
        "transcribe": prompt[-1],
        "translate": prompt[-1],
        "is_multilingual": 0,
    }

    def encoder() -> Graph:
        mel = torch.randn(2, model.log_mel.config.n_mels, EXAMPLE_FRAMES[0])
        return Graph(WhisperEncoderGraph(model).eval(), {"mel": mel}, {"mel": (0, 2)}, (*CROSS, *_no_speech(model)))

    def step() -> Graph:
        return _step(StepGraph(model, table, settings, room, joined=True), model, torch.zeros(layers, 2, room, width))

    names = {part: f"{loaded.name}-{part}" for part in ("encoder", "decoder")}
    parts = [GraphFile(names["encoder"], encoder, metadata), GraphFile(names["decoder"], step, {})]
    return Form("from_whisper", names, parts)


def _no_speech(model: SpeechModel) -> tuple[str, ...]:
    return () if model.no_speech is None else (NO_SPEECH,)


def _statistics(model: SpeechModel) -> dict[str, str]:
    """What features are normalised by before the encoder gets them."""
    cmvn = model.cmvn
    return {
        name: ",".join(f"{value:.9g}" for value in values.tolist())
        for name, values in (("cmvn_mean", cmvn.mean), ("cmvn_inv_stddev", cmvn.inverse_std))
    }


def _of_features(module: torch.nn.Module, model: SpeechModel, outputs: Sequence[str]) -> Graph:
    x = torch.randn(len(EXAMPLE_FRAMES), EXAMPLE_FRAMES[0], model.log_mel.config.n_mels)
    return Graph(module.eval(), {"x": x, "x_len": torch.tensor(EXAMPLE_FRAMES)}, {"x": (0, 1), "x_len": (0,)}, outputs)


def _step(module: StepGraph, model: SpeechModel, cache: Tensor) -> Graph:
    cross = torch.randn(len(cache), 2, 30, model.decoder_width)
    inputs = {"tokens": torch.full((2, 2), module.eos)}
    # Each a tensor of its own: the exporter takes one that stands for two inputs for one input.
    inputs |= {name: cache.clone() for name in CACHES} | {name: cross.clone() for name in CROSS}
    inputs |= {"offset": torch.zeros(2, dtype=torch.long)}
    dynamic = {"tokens": (0, 1), "offset": (0,)} | dict.fromkeys((*CACHES, *CROSS), (1, 2))
    return Graph(
        module.eval(), inputs, dynamic, ("logits", *(name.replace("in_", "out_") for name in CACHES), ATTENTION)
    )


def write_forms(loaded: LoadedModel, settings: DecodeConfig, folder: Path, dtype: str) -> list[Form]:
    """Writes the files of all forms into a folder, their names as the README.md there gives them; returns the forms."""
    suffix = {"float32": "", "float16": ".fp16", "int8": ".int8"}[dtype]
    forms = forms_of(loaded, settings)
    for form in forms:
        for part in form.parts:
            write_onnx(part.graph(), folder / f"{part.name}{suffix}.onnx", part.metadata, dtype)
    tokens = f"{loaded.name}-{TOKENS}" if forms[0].loader == "from_whisper" else TOKENS
    write_file(folder / tokens, "".join(f"{token} {i}\n" for token, i in tokens_of(loaded)))
    write_own(loaded, settings, folder, {part: f"{name}{suffix}.onnx" for part, name in forms[0].files.items()})
    write_file(folder / "README.md", page(loaded.name, forms, suffix, tokens))
    return forms


def tokens_of(loaded: LoadedModel) -> Iterator[tuple[str, int]]:
    """How each token that is written stands in sherpa-onnx's list; what is not on it writes nothing, but for the blank of CTC."""
    table, in_bytes = loaded.tokenizer.table, isinstance(loaded.tokenizer, BytePairTokenizer)
    whisper = loaded.model.log_mel.config.kind == "stft"
    value = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
    for i, token in enumerate(table.tokens):
        if i in table.silent:
            if i == table.blank and not whisper:
                yield "<blank>", i
        elif in_bytes:
            yield b64encode(bytes(value[c] for c in token)).decode(), i
        elif whisper:
            text = bytes([table.bytes[i]]) if i in table.bytes else token.replace("▁", " ").encode()
            yield b64encode(text).decode(), i
        else:
            yield token, i


def left_behind(loaded: LoadedModel, lm: Path | None) -> Iterator[str]:
    """A line for each thing that a model is decoded with here and sherpa-onnx has no place for. lm: its language model."""
    if lm is not None:
        yield f"its language model ({lm.name}) stays behind: sherpa-onnx takes none for models of this kind"
    if loaded.model.ctc is not None:
        yield "sherpa-onnx listens to the decoder or to the CTC head, each in files of its own, not to both"
    if loaded.model.no_speech is not None:
        yield "its no-speech head is for --backend onnx alone: sherpa-onnx may write words for other sounds"
    if loaded.model.reverse_decoder is not None:
        yield "its right-to-left decoder stays behind"
