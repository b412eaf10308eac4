"""The public Mandarin corpora by name: what each is called, where it is, and what lies in it. public.py reads them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Corpus:
    """A public corpus."""

    title: str
    """What it is called."""
    page: str
    """Where it is described, and handed out."""
    expects: tuple[str, ...]
    """What must lie in its folder, as patterns."""
    recipe: str = ""
    """Name of lhotse's recipe for it; empty where a reader of our own knows its layout."""
    options: dict[str, Any] = field(default_factory=dict)
    """What that recipe is called with besides the folder."""
    splits: dict[str, str] = field(default_factory=dict)
    """The reader's name of a split → ours, where that is not the same in lower case."""
    handed_out: bool = False
    """Whether lhotse can fetch it; else its owner wants to be asked first."""
    md5: dict[str, str] = field(default_factory=dict)
    """Checksums of its archives, where one is known."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Our name of a split → its utterances, where that was published: a test set of fewer has another CER."""


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
        recipe="aishell",
        handed_out=True,
        md5={
            "data_aishell.tgz": "2f494334227864a8a8fec932999db9d8",
            "resource_aishell.tgz": "957d480a0fcac85fc18e550756f624e5",
        },
        sizes={"train": 120_098, "dev": 14_326, "test": 7_176},
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
        recipe="aishell2",
        # AISHELL2-2018A-EVAL, of 5 and of 10 speakers, for each of the three channels: egs/aishell2/README.md of Kaldi
        sizes={"dev": 2_500, "test": 5_000},
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
        recipe="aishell3",
        handed_out=True,
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
        recipe="aishell4",
        options={"normalize_text": True},
        handed_out=True,
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
        recipe="ali_meeting",
        splits={"eval_near": "dev_near", "eval_far": "dev_far"},
        handed_out=True,
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
        recipe="thchs_30",
        handed_out=True,
        md5={"data_thchs30.tgz": "2d2252bde5c8429929e1841d4cb95e90"},
        sizes={"train": 10_000, "dev": 893, "test": 2_495},  # the README.TXT that lies in it
    ),
    "stcmds": Corpus(
        "ST-CMDS",
        "https://www.openslr.org/38/",
        ("ST-CMDS-20170001_1-OS/*.wav", "ST-CMDS-20170001_1-OS/*.txt"),
        recipe="stcmds",
        handed_out=True,
        md5={"ST-CMDS-20170001_1-OS.tar.gz": "c28ddfc8e4ebe48949bc79a0c23c5545"},
        sizes={"train": 102_600},
    ),
    "primewords": Corpus(
        "Primewords set 1",
        "https://www.openslr.org/47/",
        ("primewords_md_2018_set1/set1_transcript.json", "primewords_md_2018_set1/audio_files"),
        recipe="primewords",
        handed_out=True,
    ),
    "magicdata": Corpus(
        "MagicData",
        "https://www.openslr.org/68/",
        ("train/TRANS.txt", "train/*/*.wav", "dev/TRANS.txt", "dev/*/*.wav", "test/TRANS.txt", "test/*/*.wav"),
        recipe="magicdata",
        handed_out=True,
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
        recipe="aidatatang_200zh",
        handed_out=True,
        md5={"aidatatang_200zh.tgz": "6e0f4f39cd5f667a7ee53c397c8d0949"},
    ),
    "commonvoice_zh_cn": Corpus(
        "Common Voice zh-CN",
        "https://commonvoice.mozilla.org/datasets",
        ("zh-CN/clips", "zh-CN/train.tsv", "zh-CN/dev.tsv", "zh-CN/test.tsv"),
    ),
    "commonvoice_zh_tw": Corpus(
        "Common Voice zh-TW",
        "https://commonvoice.mozilla.org/datasets",
        ("zh-TW/clips", "zh-TW/train.tsv", "zh-TW/dev.tsv", "zh-TW/test.tsv"),
    ),
    "fleurs": Corpus(
        "FLEURS cmn_hans_cn",
        "https://huggingface.co/datasets/google/fleurs",
        ("cmn_hans_cn/train.tsv", "cmn_hans_cn/dev.tsv", "cmn_hans_cn/test.tsv"),
    ),
    "wenetspeech": Corpus(
        "WenetSpeech",
        "https://wenet-e2e.github.io/WenetSpeech/",
        ("WenetSpeech.json", "audio"),
        recipe="wenet_speech",
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
        recipe="kespeech",
        options={"output_dir": None},
    ),
}
"""Name on the command line → corpus."""
