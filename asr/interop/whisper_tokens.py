"""The tokens of Whisper models: from the files of Hugging Face, CTranslate2 or tiktoken, and by the rule of the authors."""

import base64
from pathlib import Path
from typing import Any

from asr.errors import CheckpointError
from asr.foreign_bytes import listed, quoted, reading
from asr.interop.checkpoints import read_json
from asr.interop.foreign import token_table, tokens_by_id
from asr.text.byte_pairs import BytePairTokenizer, byte_symbols
from asr.text.tokenizer import BLANK_UNK, CONTROL, EOS, SOS, TokenTable

PROMPT = ("<|startoftranscript|>", "<|zh|>", "<|transcribe|>")
"""What the decoder is told before a text: that it is to write down what is said in Mandarin …"""
BEGIN = "<|notimestamps|>"
"""… without times. The first token of the text follows this one."""
END = "<|endoftext|>"
NOTHING = ("<|nospeech|>", "<|nocaptions|>")
"""Never written: takes the places of blank and unknown, for which Whisper has no tokens."""
TIKTOKEN = "multilingual.tiktoken"
"""The table of the authors' program: bytes in base64, and their id."""
WHOLE = "tokenizer.json"
"""All that a tokenizer is, as Hugging Face has it."""
FILES = (TIKTOKEN, "vocab.json", WHOLE, "vocabulary.json", "vocabulary.txt")
"""Where tokens may stand: the authors' program, Hugging Face twice, CTranslate2 twice."""
LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml cy sk"
    " te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo"
    " ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue"
).split()
"""In the order of their tokens. The last one came with large-v3."""
TASKS = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
TIMES = 1501
"""Tokens of times, from 0 to 30 s."""
NOT_SPOKEN = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *"<< >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪".split(),
)
"""What the authors' program never writes, where it is one token: notes on a sound, names of speakers."""
NOTES = "♩♪♫♬♭♮♯"
"""Likewise the first token of these, which only such signs begin with."""


def read_tokens(folder: Path, vocabulary: int, *, of_weights: Path | None = None) -> tuple[TokenTable, tuple[int, ...]]:
    """The table, in which the tokens around a text have our names, and the ids of the prompt.

    of_weights: a file of the authors, which has no tokens: the folder's file has those of texts, the others follow from the rule.
    """
    path, ids = _vocabulary(folder) if of_weights is None else _with_rule(folder, vocabulary, of_weights)
    tokens = tokens_by_id(ids, vocabulary, path)
    _require_same(ids, path, folder / WHOLE)
    nothing = next((name for name in NOTHING if name in ids), NOTHING[0])
    for name in (*PROMPT, BEGIN, END, nothing):
        if name not in ids:
            hint = "; is it a model of English alone?" if name == PROMPT[1] else ""
            raise CheckpointError(f"{path}: has no token {name}{hint}")
    for name, ours in ((BEGIN, SOS), (END, EOS), (nothing, BLANK_UNK)):
        tokens[ids[name]] = ours
    return token_table(tokens, path), tuple(ids[name] for name in PROMPT)


def never_spoken(table: TokenTable) -> list[int]:
    """Ids of what the authors' program never writes, which Hugging Face lists in generation_config.json."""
    split = BytePairTokenizer(table).split
    found = {split(" -")[0], split(" '")[0]}
    for text in (*NOT_SPOKEN, *NOTES):
        for ids in (split(text), split(f" {text}")):
            if len(ids) == 1 or text in NOTES:
                found.add(ids[0])
    return sorted(found)


def _with_rule(folder: Path, vocabulary: int, of_weights: Path) -> tuple[Path, dict[str, int]]:
    """As _vocabulary, with the special tokens of a model of that many, which Whisper numbers in one way only."""
    there = [folder / name for name in FILES if (folder / name).is_file()]
    if not there:
        beside = listed(sorted(p.name for p in folder.iterdir()))
        raise CheckpointError(
            f"{of_weights}: holds no tokens, and no file with them lies beside it (there is: {beside}). Put {TIKTOKEN} there,"
            " from the folder whisper/assets of the Python package openai-whisper, or tokenizer.json of any multilingual"
            " Whisper model on Hugging Face"
        )
    path, ids = (there[0], _tiktoken(there[0])) if there[0].name == TIKTOKEN else _vocabulary(folder)
    if sorted(ids.values()) == list(range(vocabulary)):
        return path, ids
    texts = {token: i for token, i in ids.items() if not CONTROL.fullmatch(token)}
    n_languages = vocabulary - len(texts) - len(TASKS) - TIMES - 2
    if sorted(texts.values()) != list(range(len(texts))) or not 1 < n_languages <= len(LANGUAGES):
        raise CheckpointError(
            f"{path}: {len(texts):,} tokens of texts do not belong to {of_weights.name}, which has {vocabulary:,} with those"
            f" of languages, tasks and times; take {TIKTOKEN} of the Python package openai-whisper"
        )
    names = ("endoftext", "startoftranscript", *LANGUAGES[:n_languages], *TASKS)
    special = [f"<|{name}|>" for name in names] + [f"<|{i * 0.02:.2f}|>" for i in range(TIMES)]
    return path, texts | {token: len(texts) + i for i, token in enumerate(special)}


def _tiktoken(path: Path) -> dict[str, int]:
    """Lines of a token's bytes in base64 and its id."""
    symbols = byte_symbols()
    found: dict[str, int] = {}
    with reading(path, CheckpointError, "no table of tiktoken", "copy the file again"):
        for line in path.read_text(encoding="ascii").splitlines():
            token, number = line.split()
            # nothing at all is written as one sign that is no base64
            raw = b"" if token == "=" else base64.b64decode(token, validate=True)
            text = "".join(symbols[byte] for byte in raw)
            if found.setdefault(text, int(number)) != int(number):
                raise CheckpointError(f"{path}: {quoted(text)} has the ids {found[text]} and {int(number)}")
    return found


def _vocabulary(folder: Path) -> tuple[Path, dict[str, int]]:
    """The file with the tokens of bytes, and these and the added ones, as bytes but for those in <|…|>, with their ids."""
    path = next((folder / name for name in FILES[1:] if (folder / name).is_file()), folder / FILES[1])
    added, whole = folder / "added_tokens.json", folder / WHOLE
    others: dict[str, int] = {}
    if path == whole:
        ids = _ids(_part(whole, "vocab"), whole)
    elif path.suffix == ".txt" or path.name == "vocabulary.json":
        ids = _in_order(path)
    else:
        ids = _ids(read_json(path), path)
    if added.is_file() and path != whole:
        others = _ids(read_json(added), added)
    elif whole.is_file():
        others = _ids(_part(whole, "added_tokens"), whole)
    symbols = byte_symbols()
    found: dict[str, int] = {}
    for tokens, in_bytes in ((ids, frozenset(symbols)), (others, frozenset())):
        for token, i in tokens.items():
            if not CONTROL.fullmatch(token) and not in_bytes.issuperset(token):
                token = "".join(symbols[byte] for byte in token.encode("utf-8", "replace"))  # stands there as it is
            if found.setdefault(token, i) != i:
                raise CheckpointError(f"{path}: {quoted(token)} has the ids {found[token]} and {i}")
    return path, found


def _require_same(ids: dict[str, int], path: Path, whole: Path) -> None:
    """Raises CheckpointError for a token of which the file and tokenizer.json, if that lies beside it, say different things."""
    if path == whole or not whole.is_file():
        return
    others = _ids(_part(whole, "vocab"), whole)
    for token, i in ids.items():
        if others.get(token, i) != i:
            raise CheckpointError(
                f"{path}: {quoted(token)} has the id {i}, in {whole.name} beside it {others[token]}: they are of different models"
            )


def _part(path: Path, name: str) -> Any:
    """The tokens of bytes, or those that were added, in a tokenizer.json, with their ids."""
    data = read_json(path)
    with reading(path, CheckpointError, f"holds no {name}"):
        if name == "vocab":
            return data["model"]["vocab"]
        return {token["content"]: token["id"] for token in data["added_tokens"]}


def _ids(data: Any, path: Path) -> dict[str, int]:
    if not isinstance(data, dict) or not all(type(i) is int for i in data.values()):
        raise CheckpointError(f"{path}: is no table of tokens and ids")
    return data


def _in_order(path: Path) -> dict[str, int]:
    """CTranslate2's own list: a token a line, or in JSON, in the order of their ids."""
    if path.suffix == ".json":
        tokens = read_json(path)
    else:
        with reading(path, CheckpointError, "no list of tokens", "copy the file again"):
            tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise CheckpointError(f"{path}: is no list of tokens")
    ids = {token: i for i, token in enumerate(tokens)}
    if len(ids) < len(tokens):
        twice = next(token for i, token in enumerate(tokens) if ids[token] != i)
        raise CheckpointError(f"{path}: lists {quoted(twice)} twice")
    return ids
