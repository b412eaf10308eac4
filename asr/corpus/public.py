"""The public Mandarin corpora by name: what is where in them, and how they become our manifests.

    asr corpus prepare aishell --from corpora/aishell --out data/aishell

writes a manifest a split, the official ones, under the corpus's own names in lower case (train, dev, test, test_net …).
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from asr.corpus.importing import import_corpus
from asr.corpus.lhotse_recipes import download_with_lhotse, read_with_lhotse
from asr.corpus.manifest import Utterance, write_manifest
from asr.errors import AsrError, ManifestError
from asr.files import read_lines

Splits = tuple[dict[str, list[Utterance]], list[str]]
"""Utterances by split, and what there was to warn of."""


@dataclass(frozen=True)
class Corpus:
    """A public corpus."""

    title: str
    """What it is called."""
    page: str
    """Where it is described, and handed out."""
    expects: tuple[str, ...]
    """What must lie in its folder, as patterns."""
    read: Callable[[Path], Splits]
    """The reader of its published layout."""
    splits: dict[str, str] = field(default_factory=dict)
    """The reader's name of a split → ours, where that is not the same in lower case."""
    download: Callable[[Path, str], None] | None = None
    """Fetches and unpacks it into a folder, from a mirror or the original; None where its owner wants to be asked first."""
    md5: dict[str, str] = field(default_factory=dict)
    """Checksums of its archives, where one is known."""


def prepare_public(name: str, folder: Path, out: Path) -> dict[str, tuple[Path, int, Counter]]:
    """Writes a manifest for each split that is there: split → (manifest, utterances, what was left out and why).

    Raises ManifestError that says what it expected, where the folder holds another layout.
    """
    corpus = CORPORA[name]
    splits, warnings = corpus.read(find_root(corpus, Path(folder)))
    written = {}
    for split, utterances in splits.items():
        kept, left_out = _sound(utterances, name)
        if kept:
            split = corpus.splits.get(split, split.lower())
            path = Path(out) / f"{split}.jsonl"
            written[split] = (path, write_manifest(path, kept), left_out)
    if not written:
        raise ManifestError(f"{folder}: holds no utterance of {corpus.title} with audio and text{_first(warnings)}")
    if warnings:
        next(iter(written.values()))[2][f"warned of by lhotse, the first: {warnings[0]}"] += len(warnings)
    return written


def download_public(name: str, folder: Path, mirror: str = "") -> None:
    """Fetches a corpus, and compares its archives with the checksums that are known."""
    corpus = CORPORA[name]
    if corpus.download is None:
        raise AsrError(f"{corpus.title} has to be fetched by hand: get it from {corpus.page}, then prepare it")
    corpus.download(Path(folder), mirror)
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


def _first(warnings: list[str]) -> str:
    return f"; the first of {len(warnings)} warnings: {warnings[0]}" if warnings else ""


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def read_common_voice(folder: Path) -> Splits:
    """train.tsv, dev.tsv and test.tsv beside clips/.

    lhotse's recipe wants columns that not every release has, and starts a pool of processes for each table.
    """
    splits = {}
    for split in ("train", "dev", "test"):
        table = folder / f"{split}.tsv"
        splits[split] = list(import_corpus(table, audio_root=folder / "clips")) if table.is_file() else []
    return splits, []


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


def read_ali_meeting(folder: Path) -> Splits:
    """The headsets (near) and the first microphone of the array (far), each with splits of its own."""
    splits, warnings = {}, []
    for microphone in ("near", "far"):
        parts, said = read_with_lhotse(
            "ali_meeting", "prepare_ali_meeting", folder, mic=microphone, normalize_text="m2met"
        )
        splits |= {f"{part}_{microphone}": utterances for part, utterances in parts.items()}
        warnings += said
    return splits, warnings


def _lhotse(recipe: str, **options) -> Callable[[Path], Splits]:
    return partial(read_with_lhotse, recipe, f"prepare_{recipe}", **options)


def _fetch(recipe: str, subfolder: str = "") -> Callable[[Path, str], None]:
    return lambda folder, mirror: download_with_lhotse(recipe, f"download_{recipe}", folder / subfolder, mirror)


CORPORA: dict[str, Corpus] = {
    "aishell": Corpus(
        "AISHELL-1",
        "https://www.openslr.org/33/",
        (
            "data_aishell/transcript/aishell_transcript_v0.8.txt",
            "data_aishell/wav/train/*/*.wav",
            "data_aishell/wav/dev/*/*.wav",
            "data_aishell/wav/test/*/*.wav",
        ),
        _lhotse("aishell"),
        download=_fetch("aishell"),
        md5={
            "data_aishell.tgz": "2f494334227864a8a8fec932999db9d8",
            "resource_aishell.tgz": "957d480a0fcac85fc18e550756f624e5",
        },
    ),
    "aishell2": Corpus(
        "AISHELL-2",
        "https://www.aishelltech.com/aishell_2",
        (
            "AISHELL-2/iOS/data/trans.txt",
            "AISHELL-2/iOS/data/wav",
            "AISHELL-2/iOS/dev/trans.txt",
            "AISHELL-2/iOS/dev/wav",
            "AISHELL-2/iOS/test/trans.txt",
            "AISHELL-2/iOS/test/wav",
        ),
        _lhotse("aishell2"),
    ),
    "aishell3": Corpus(
        "AISHELL-3",
        "https://www.openslr.org/93/",
        (
            "spk-info.txt",
            "train/label_train-set.txt",
            "train/content.txt",
            "train/wav/*/*.wav",
            "test/content.txt",
            "test/wav/*/*.wav",
        ),
        _lhotse("aishell3"),
        download=_fetch("aishell3"),
    ),
    "aishell4": Corpus(
        "AISHELL-4",
        "https://www.openslr.org/111/",
        (
            "train_L/wav/*.flac",
            "train_M/wav/*.flac",
            "train_S/wav/*.flac",
            "test/wav/*.flac",
            "test/TextGrid/*.TextGrid",
        ),
        _lhotse("aishell4", normalize_text=True),
        download=_fetch("aishell4"),
    ),
    "alimeeting": Corpus(
        "AliMeeting",
        "https://www.openslr.org/119/",
        (
            "Train_Ali_far/textgrid_dir/*.TextGrid",
            "Train_Ali_near/textgrid_dir/*.TextGrid",
            "Eval_Ali/Eval_Ali_far/textgrid_dir/*.TextGrid",
            "Test_Ali/Test_Ali_far/textgrid_dir/*.TextGrid",
        ),
        read_ali_meeting,
        {"eval_near": "dev_near", "eval_far": "dev_far"},
        download=_fetch("ali_meeting"),
    ),
    "thchs30": Corpus(
        "THCHS-30",
        "https://www.openslr.org/18/",
        (
            "data_thchs30/data/*.wav.trn",
            "data_thchs30/train/*.wav",
            "data_thchs30/dev/*.wav",
            "data_thchs30/test/*.wav",
        ),
        _lhotse("thchs_30"),
        download=_fetch("thchs_30"),
        md5={"data_thchs30.tgz": "2d2252bde5c8429929e1841d4cb95e90"},
    ),
    "stcmds": Corpus(
        "ST-CMDS",
        "https://www.openslr.org/38/",
        ("ST-CMDS-20170001_1-OS/*.wav", "ST-CMDS-20170001_1-OS/*.txt"),
        _lhotse("stcmds"),
        download=_fetch("stcmds"),
        md5={"ST-CMDS-20170001_1-OS.tar.gz": "c28ddfc8e4ebe48949bc79a0c23c5545"},
    ),
    "primewords": Corpus(
        "Primewords set 1",
        "https://www.openslr.org/47/",
        ("primewords_md_2018_set1/set1_transcript.json", "primewords_md_2018_set1/audio_files"),
        _lhotse("primewords"),
        download=_fetch("primewords"),
    ),
    "magicdata": Corpus(
        "MagicData",
        "https://www.openslr.org/68/",
        ("train/TRANS.txt", "train/*/*.wav", "dev/TRANS.txt", "dev/*/*.wav", "test/TRANS.txt", "test/*/*.wav"),
        _lhotse("magicdata"),
        download=_fetch("magicdata"),
    ),
    "aidatatang_200zh": Corpus(
        "aidatatang_200zh",
        "https://www.openslr.org/62/",
        (
            "aidatatang_200zh/transcript/aidatatang_200_zh_transcript.txt",
            "aidatatang_200zh/corpus/train/*/*.wav",
            "aidatatang_200zh/corpus/dev/*/*.wav",
            "aidatatang_200zh/corpus/test/*/*.wav",
        ),
        _lhotse("aidatatang_200zh"),
        download=_fetch("aidatatang_200zh"),
        md5={"aidatatang_200zh.tgz": "6e0f4f39cd5f667a7ee53c397c8d0949"},
    ),
    "commonvoice_zh_cn": Corpus(
        "Common Voice zh-CN",
        "https://commonvoice.mozilla.org/datasets",
        ("zh-CN/clips", "zh-CN/train.tsv", "zh-CN/dev.tsv", "zh-CN/test.tsv"),
        lambda folder: read_common_voice(folder / "zh-CN"),
    ),
    "commonvoice_zh_tw": Corpus(
        "Common Voice zh-TW",
        "https://commonvoice.mozilla.org/datasets",
        ("zh-TW/clips", "zh-TW/train.tsv", "zh-TW/dev.tsv", "zh-TW/test.tsv"),
        lambda folder: read_common_voice(folder / "zh-TW"),
    ),
    "fleurs": Corpus(
        "FLEURS cmn_hans_cn",
        "https://huggingface.co/datasets/google/fleurs",
        ("cmn_hans_cn/train.tsv", "cmn_hans_cn/dev.tsv", "cmn_hans_cn/test.tsv"),
        lambda folder: read_fleurs(folder / "cmn_hans_cn"),
    ),
    "wenetspeech": Corpus(
        "WenetSpeech",
        "https://wenet-e2e.github.io/WenetSpeech/",
        ("WenetSpeech.json", "audio"),
        _lhotse("wenet_speech"),
    ),
    "kespeech": Corpus(
        "KeSpeech",
        "https://github.com/KeSpeech/KeSpeech",
        (
            "Tasks/ASR/train_phase1/wav.scp",
            "Tasks/ASR/train_phase2/wav.scp",
            "Tasks/ASR/dev_phase1/wav.scp",
            "Tasks/ASR/dev_phase2/wav.scp",
            "Tasks/ASR/test/wav.scp",
        ),
        _lhotse("kespeech", output_dir=None),
    ),
}
"""Name on the command line → corpus."""
