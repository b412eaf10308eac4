"""The tokens of Cohere Transcribe: pieces of SentencePiece, bytes for characters that are none, and what tells it what to do."""

import base64
from pathlib import Path
from typing import Any

from asr.errors import CheckpointError, TokenError
from asr.foreign_bytes import listed, quoted, reading
from asr.interop.checkpoints import existing, read_json
from asr.interop.foreign import token_table, tokens_by_id
from asr.interop.sentence_piece_files import (
    BPE,
    BYTE,
    CONTROL,
    NORMAL,
    UNIGRAM,
    UNKNOWN,
    Piece,
    sentence_piece_model,
)
from asr.text.sentence_pieces import pieces_of
from asr.text.tokenizer import BLANK_UNK, BYTES, EOS, SOS, SPACE, TokenTable
from asr.text.tokenizer import CONTROL as COMMAND

PROMPT = (
    SPACE,
    "<|startofcontext|>",
    "<|startoftranscript|>",
    "<|emo:undefined|>",
    "<|zh|>",
    "<|zh|>",
    "<|pnc|>",
    "<|noitn|>",
    "<|notimestamp|>",
)
"""What the decoder is told before a text: no context, no emotion, Mandarin spoken and written, with punctuation, numbers as they
are said, no times …"""
BEGIN = "<|nodiarize|>"
"""… and no speakers. The first token of the text follows this one."""
END = "<|endoftext|>"
UNKNOWN_TOKEN = "<unk>"
JSON, MODEL = "tokenizer.json", "tokenizer.model"
"""Where the tokens stand: of transformers, and of SentencePiece."""
SPACES = {"Prepend": "prepend", "Replace": "content"}
"""Steps before the splitting that write spaces → the setting that says how."""
OTHER_STEPS = ("Precompiled", "NFC", "NFKC", "Strip")
"""Steps that SentencePiece, or the normalisation of texts here, does as well."""


def read_tokens(folder: Path, vocabulary: int) -> tuple[TokenTable, tuple[int, ...], bytes]:
    """The table, in which the tokens around a text have our names, the ids of the prompt, and the model that splits texts."""
    path = folder / JSON if (folder / JSON).is_file() or not (folder / MODEL).is_file() else folder / MODEL
    pieces = (folder / MODEL).read_bytes() if (folder / MODEL).is_file() else None
    if path.name == MODEL:
        tokens = tokens_by_id({piece: i for i, piece in enumerate(_pieces_of(path))}, vocabulary, path)
    else:
        data = _object(read_json(existing(path)), path)
        model = _object(data.get("model"), path)
        with reading(path, CheckpointError, "holds no tokens and merges as tokenizers writes them"):
            scores = _scores(model, path)
            commands = {token["content"]: token["id"] for token in data.get("added_tokens") or []}
            tokens = tokens_by_id({token: i for i, (token, _) in enumerate(scores)} | commands, vocabulary, path)
            if pieces is None:
                pieces = _model_of(data, model, tokens, dict(scores), commands=set(commands), path=path)
    if (folder / MODEL).is_file():
        _compare(_pieces_of(folder / MODEL), tokens, folder / MODEL, path)
    ids = {token: i for i, token in enumerate(tokens)}
    for name in (*PROMPT, BEGIN, END, UNKNOWN_TOKEN):
        if name not in ids:
            raise CheckpointError(f"{path}: has no token {name}; is it of a Cohere Transcribe model?")
    prompt = tuple(ids[name] for name in PROMPT)
    for name, ours in ((BEGIN, SOS), (END, EOS), (UNKNOWN_TOKEN, BLANK_UNK)):
        tokens[ids[name]] = ours
    return token_table(tokens, path), prompt, pieces


def _pieces_of(path: Path) -> list[str]:
    try:
        return pieces_of(path)
    except TokenError as error:
        raise CheckpointError(str(error)) from error


def _object(data: Any, path: Path) -> dict:
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: is no tokenizer as tokenizers writes it")
    return data


def _compare(pieces: list[str], tokens: list[str], model: Path, path: Path) -> None:
    """Both files must number the same tokens, where both are there."""
    other = next((i for i, piece in enumerate(pieces) if i >= len(tokens) or tokens[i] != piece), None)
    if other is not None:
        there = quoted(tokens[other]) if other < len(tokens) else "nothing"
        raise CheckpointError(f"{model}: piece {other} is {quoted(pieces[other])}, {path.name} has {there} there")


def _scores(model: dict, path: Path) -> list[tuple[str, float]]:
    """The tokens in the order of their ids, and how SentencePiece ranks them: those that were joined earlier above the others."""
    if model.get("type") == "Unigram":
        return [(token, float(score)) for token, score in model["vocab"]]
    if model.get("type") != "BPE":
        raise CheckpointError(
            f"{path}: model.type {quoted(model.get('type'))} cannot be imported; known are BPE and Unigram"
        )
    ids = model["vocab"]
    by_id = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in by_id] != list(range(len(by_id))):
        raise CheckpointError(f"{path}: the ids of model.vocab are not 0 to {len(by_id) - 1}, each once")
    joined: dict[str, int] = {}
    for place, pair in enumerate(model["merges"]):
        left, right = pair.split(" ") if isinstance(pair, str) else pair
        joined.setdefault(left + right, place)
    return [(token, -float(joined.get(token, len(model["merges"])))) for token in by_id]


def _model_of(
    data: dict, model: dict, tokens: list[str], scores: dict[str, float], *, commands: set[str], path: Path
) -> bytes:
    """The SentencePiece model that splits texts as a tokenizer.json says."""
    charsmap, in_front = _steps(data, path)
    in_bytes = bool(model.get("byte_fallback")) and scores.keys() >= BYTES.keys()
    pieces = []
    for token in tokens:
        if token == UNKNOWN_TOKEN:
            kind = UNKNOWN
        elif token in BYTES and in_bytes:
            kind = BYTE
        else:
            silent = token in commands or token in BYTES or COMMAND.fullmatch(token)
            kind = CONTROL if silent or token not in scores else NORMAL
        pieces.append(Piece(token, scores.get(token, 0.0), kind))
    kind = UNIGRAM if model["type"] == "Unigram" else BPE
    return sentence_piece_model(pieces, kind, charsmap=charsmap, space_in_front=in_front)


def _steps(data: dict, path: Path) -> tuple[bytes, bool]:
    """SentencePiece's table of characters for others, and whether a text gets a space in front; other steps are refused."""
    charsmap, in_front = b"", False
    for part in ("normalizer", "pre_tokenizer"):
        for step in _flat(data.get(part), part, path):
            kind = step.get("type")
            if kind == "Precompiled":
                charsmap = base64.b64decode(step["precompiled_charsmap"] or "")
            elif kind == "Metaspace" and step.get("replacement") == SPACE:
                in_front |= step.get("prepend_scheme", "always") != "never"
            elif kind in SPACES and step.get(SPACES[kind]) == SPACE:
                in_front |= kind == "Prepend"
            elif kind not in OTHER_STEPS:
                raise CheckpointError(
                    f"{path}: {part} {quoted(kind)} cannot be imported; known are those of SentencePiece"
                    f" ({listed(['Metaspace', *SPACES, *OTHER_STEPS])}). Put {MODEL} of the same model beside the file,"
                    " if there is one"
                )
    return charsmap, in_front


def _flat(step: Any, part: str, path: Path) -> list[dict]:
    """The steps of a sequence of them, or the one there is."""
    if step is None:
        return []
    inner = _object(step, path).get(f"{part}s")
    return [one for other in inner for one in _flat(other, part, path)] if isinstance(inner, list) else [step]
