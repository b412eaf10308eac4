"""What lies in a model folder beside its network: a language model, search settings, a licence. It goes where the model goes."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from asr.decoding.kenlm_scorer import is_kenlm_binary
from asr.decoding.ngram_file import pack, read_ngrams, with_more_symbols
from asr.files import atomic_write
from asr.folders import whole_folder
from asr.model.bases import ADAPTER, ADAPTERS, base_folder, is_adapted
from asr.model.folder import CARD, CONFIG, DECODE, LM
from asr.model.no_speech import NO_SPEECH
from asr.text.tokenizers import PIECES

KENLM, NETWORK = "lm.kenlm", "lm"
"""Language models that are not packed n-grams: a binary of KenLM, the folder of a network."""
LANGUAGE_MODELS = {LM: LM, KENLM: KENLM, NETWORK: f"{NETWORK}/{CONFIG}"}
"""Language model → the file by which it is known: a folder called `lm` may be anything."""
LICENCE = re.compile(r"[-.\w]*(licen[cs]e|notice|copying|copyright)[-.\w]*", re.I)
"""How files are called that say what may be done with a model."""


def licences(folder: Path) -> list[Path]:
    """The files of a folder that say what may be done with its model, by name."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in files if LICENCE.fullmatch(path.name) and path.is_file())


def belonging(folder: Path) -> tuple[str, ...]:
    """Names of what belongs to the model in a folder, and does not stay when another one takes its place."""
    own = [name for name, file in LANGUAGE_MODELS.items() if (folder / file).is_file()]
    return (CARD, PIECES, DECODE, NO_SPEECH, ADAPTER, ADAPTERS, *own, *(path.name for path in licences(folder)))


def own_language_model(folder: Path) -> Path | None:
    """The language model that a model folder holds, if it holds one."""
    return next((folder / name for name, file in LANGUAGE_MODELS.items() if (folder / file).is_file()), None)


def language_model_of(folder: Path) -> Path | None:
    """The language model of the model in a folder: its own, or where it holds adapters that of their base."""
    own = own_language_model(folder)
    return own_language_model(base_folder(folder)) if own is None and is_adapted(folder) else own


def put_language_model(lm: Path, folder: Path, symbols: Sequence[str], eos: int) -> Path:
    """Makes a language model that of the model in a folder, in the place of the one that it has; returns where it lies.

    An ARPA file is packed; a network or a binary of KenLM is copied.
    """
    before = own_language_model(folder)
    name = NETWORK if lm.is_dir() else KENLM if is_kenlm_binary(lm) else LM
    if name == LM:
        pack(read_ngrams(lm, symbols, eos), folder / LM, symbols)
    else:
        _copy(lm, folder / name)
    if before not in (None, folder / name):
        remove_language_model(before)
    return folder / name


def remove_language_model(path: Path) -> None:
    """Deletes a language model, a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def copy_companions(source: Path, target: Path, symbols: Sequence[str], more: Sequence[str] = ()) -> None:
    """Copies into a model folder what lies beside the network of another one, its card apart.

    symbols: the tokens of the source. more: those of the target where it has more; its language model does not know them.
    """
    for path in (source / PIECES, source / DECODE, *licences(source)):
        if path.is_file():
            copy_file(path, target / path.name)
    lm = language_model_of(source)
    if lm is None or is_adapted(target):  # which has that of its base
        return
    if lm.name == LM and len(more) > len(symbols):
        pack(with_more_symbols(read_ngrams(lm, symbols, 0), len(symbols), len(more)), target / LM, more)
    else:
        _copy(lm, target / lm.name)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        with whole_folder(target) as new:
            shutil.copytree(source, new, dirs_exist_ok=True)
    else:
        copy_file(source, target)


def copy_file(source: Path, target: Path) -> None:
    """Copies a file whole or not at all."""
    with open(source, "rb") as read, atomic_write(target, "wb") as file:
        shutil.copyfileobj(read, file)
