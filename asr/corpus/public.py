"""Public Mandarin corpora as they are published, and how they become our manifests; corpora.py lists them.

    asr corpus prepare aishell --from corpora/aishell --out data/aishell

writes a manifest a split, the official ones, under the corpus's own names in lower case (train, dev, test, test_net …).
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from asr.corpus.ali_meeting import read_ali_meeting
from asr.corpus.corpora import CORPORA, Corpus
from asr.corpus.importing import Skipped, import_corpus
from asr.corpus.lhotse_recipes import download_with_lhotse, read_with_lhotse
from asr.corpus.manifest import Utterance, write_manifest
from asr.errors import AsrError, ManifestError
from asr.files import atomic_write, read_lines
from asr.places import require_writable

WARNINGS = "warnings.txt"
"""Lists beside the manifests what is wrong with a corpus."""
Splits = tuple[dict[str, list[Utterance]], list[str]]
"""Utterances by split, and a line for each thing that is wrong."""


def prepare_public(name: str, folder: Path, out: Path) -> dict[str, tuple[Path, int, Counter]]:
    """Writes a manifest for each split that is there: split → (manifest, utterances, what is not in it and why).

    Raises ManifestError that says what it expected, where the folder holds another layout.
    """
    corpus = CORPORA[name]
    splits, warnings = read_public(name, find_root(corpus, Path(folder)))
    written = {}
    for split, utterances in splits.items():
        kept, left_out = _sound(utterances, name)
        if kept:
            split = corpus.splits.get(split, split.lower())
            path = Path(out) / f"{split}.jsonl"
            written[split] = (path, write_manifest(path, kept), left_out)
    if not written:
        raise ManifestError(f"{folder}: holds no utterance of {corpus.title} with audio and text{_first(warnings)}")
    _list_warnings(warnings, Path(out) / WARNINGS, next(iter(written.values()))[2])
    for split, (_, n, left_out) in written.items():
        if (lacking := corpus.sizes.get(split, n) - n) > 0:
            left_out["fewer than were published: are all its archives unpacked?"] += lacking
    return written


def read_public(name: str, root: Path) -> Splits:
    """What lies in a corpus's folder, by the reader of our own where there is one, else by lhotse's recipe."""
    if name in READERS:
        return READERS[name](root)
    corpus = CORPORA[name]
    return read_with_lhotse(corpus.recipe, f"prepare_{corpus.recipe}", root, **corpus.options)


def download_public(name: str, folder: Path, mirror: str = "") -> None:
    """Fetches a corpus, and compares its archives with the checksums that are known."""
    corpus = CORPORA[name]
    if not corpus.handed_out:
        raise AsrError(f"{corpus.title} has to be fetched by hand: get it from {corpus.page}, then prepare it")
    require_writable(Path(folder))
    download_with_lhotse(corpus.recipe, f"download_{corpus.recipe}", Path(folder), mirror)
    for archive, expected in corpus.md5.items():
        path = Path(folder) / archive
        if path.is_file() and (found := _md5(path)) != expected:
            raise AsrError(f"{path}: its MD5 is {found}, should be {expected}; delete it and download again")


def find_root(corpus: Corpus, folder: Path) -> Path:
    """The folder itself, the one above or one directly in it: the first that holds all that the corpus consists of."""
    if not folder.is_dir():
        raise ManifestError(f"{folder}: no such folder")
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    for root in (folder.resolve(), folder.resolve().parent, *inner):
        if not _missing(corpus, root):
            return root
    missing = _missing(corpus, folder)
    raise ManifestError(
        f"{folder}: is not {corpus.title} as it is published; there should be {', '.join(corpus.expects)} in it,"
        f" and there is no {', no '.join(missing)}. Are all its archives unpacked?"
    )


def _missing(corpus: Corpus, root: Path) -> list[str]:
    return [pattern for pattern in corpus.expects if next(root.glob(pattern), None) is None]


def _sound(utterances: list[Utterance], name: str) -> tuple[list[Utterance], Counter]:
    """The utterances that a manifest can hold, by id; how many are left out for which reason."""
    kept: dict[str, Utterance] = {}
    left_out: Counter[str] = Counter()
    for utterance in utterances:
        if not utterance.text.strip():
            left_out["without text"] += 1
        elif not utterance.duration > 0:
            left_out["of no length"] += 1
        elif utterance.id in kept:
            left_out["with an id that is there already"] += 1
        else:
            kept[utterance.id] = replace(utterance, source=name)
    return [kept[id] for id in sorted(kept)], left_out


def _list_warnings(warnings: list[str], path: Path, left_out: Counter) -> None:
    """Counts them, names the first, and lists all in a file where there are more."""
    path.unlink(missing_ok=True)
    if not warnings:
        return
    more = ""
    if len(warnings) > 1:
        with atomic_write(path) as file:
            file.writelines(" ".join(line.split()) + "\n" for line in warnings)
        more = f" ({path} lists them)"
    left_out[f"warnings, the first: {warnings[0]}{more}"] += len(warnings)


def _first(warnings: list[str]) -> str:
    return f"; the first of {len(warnings)} warnings: {warnings[0]}" if warnings else ""


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def read_common_voice(folder: Path) -> Splits:
    """train.tsv, dev.tsv and test.tsv beside clips/.

    lhotse's recipe wants columns that not every release has, and starts a pool of processes for each table. Rows whose clip is
    not there or cannot be read are left out.
    """
    splits, skipped = {}, Skipped()
    for split in ("train", "dev", "test"):
        table = folder / f"{split}.tsv"
        rows = import_corpus(table, audio_root=folder / "clips", skipped=skipped) if table.is_file() else []
        splits[split] = list(rows)
    empty = [f"{skipped.without_text} rows without text"] if skipped.without_text else []
    return splits, [*skipped.broken, *empty]


def read_fleurs(folder: Path) -> Splits:
    """train.tsv, dev.tsv and test.tsv beside train/, dev/ and test/ (or audio/train/ …) with the recordings.

    lhotse reads only what it has downloaded itself, through another library, and counts the readings of a sentence as
    speakers. Who speaks is not published. The same sentence is read by several people, under one id and other file names.
    """
    splits, missing = {}, []
    for split in ("train", "dev", "test"):
        audio = next((f for f in (folder / split, folder / "audio" / split) if f.is_dir()), None)
        rows = _fleurs_rows(folder / f"{split}.tsv")
        splits[split] = []
        for line, sentence, file, text, n_samples, gender in rows:
            path = (audio or folder / split) / file
            if not path.is_file():
                missing.append(f"{line}: {path} is not there")
                continue
            id, extra = f"{sentence}_{path.stem}", {"gender": gender.lower()}
            splits[split].append(Utterance(id, path, int(n_samples) / 16000, text, extra=extra, where=line))
    return splits, missing


def _fleurs_rows(table: Path) -> list[tuple[str, ...]]:
    """(file:line, sentence id, file name, text as it is written, samples, gender) of each row; the table has no header."""
    rows = []
    for number, line in enumerate(read_lines(table), 1):
        values = line.split("\t")
        if not line.strip():
            continue
        if len(values) != 7 or not values[5].isdecimal():
            raise ManifestError(
                f"{table}:{number}: a row must have 7 columns, the sixth a number of samples: {line[:60]!r}"
            )
        rows.append((f"{table}:{number}", values[0], values[1], values[2], values[5], values[6]))
    return rows


READERS: dict[str, Callable[[Path], Splits]] = {
    "alimeeting": read_ali_meeting,
    "commonvoice_zh_cn": lambda folder: read_common_voice(folder / "zh-CN"),
    "commonvoice_zh_tw": lambda folder: read_common_voice(folder / "zh-TW"),
    "fleurs": lambda folder: read_fleurs(folder / "cmn_hans_cn"),
}
"""Readers of our own."""
