"""The models of other toolkits that `asr model pull NAME` knows how to fetch.

Every figure, revision and checksum here was read in the source that stands beside it; what was not read is left blank.
Files without a checksum are checked against the one that the hub states, where it states one. No row has been run on
the published file yet: the importers are tested on small checkpoints that the toolkits' own code wrote.
"""

import difflib
from dataclasses import dataclass

from asr.errors import DownloadError

NOT_RUN = "not yet run on the published file"


@dataclass(frozen=True)
class PublishedFile:
    """One file of a repository."""

    path: str
    """Its path in the repository. A .tar.gz is unpacked."""
    size: int = 0
    """Bytes; 0: not read."""
    sha256: str = ""
    """Its checksum; empty: not read."""


@dataclass(frozen=True)
class Repository:
    """Where a model is on one hub."""

    name: str
    """Owner and name."""
    revision: str = ""
    """Commit, branch or tag; empty: the hub's main branch."""


@dataclass(frozen=True)
class PublishedModel:
    """A row of the table."""

    name: str
    """What users call it: `--model NAME`."""
    toolkit: str
    """Which importer reads it."""
    title: str
    """What it is, in a few words."""
    repositories: dict[str, Repository]
    """By hub."""
    files: tuple[PublishedFile, ...]
    """What the importer needs."""
    download: str
    """How much there is to fetch, as the hub's page says; empty: not read."""
    licence: str
    """Of the weights."""
    cer: str
    """The character error rates in percent that its makers publish, of test sets where nothing else is said; empty: none
    that belongs to this file for certain."""
    source: str
    """Where the figures, checksums and revision were read."""
    note: str = ""
    """What one should know before using it."""
    run: bool = False
    """Whether somebody has run this program on the published file."""


def published(name: str) -> PublishedModel:
    """The row of a name. Raises DownloadError that shows the names there are."""
    if name not in PUBLISHED:
        near = difflib.get_close_matches(name, PUBLISHED, 1, 0.5)
        raise DownloadError(
            f"{name}: no published model has this name{f'; did you mean {near[0]}?' if near else ''}"
            f" (there are {', '.join(PUBLISHED)})"
        )
    return PUBLISHED[name]


_WENET = "WeNet's docs/pretrained_models.en.md and the pages of the Hugging Face repository"
_WENET_NOTE = "A copy on Hugging Face of the archive that WeNet publishes."


def _wenet(name: str, title: str, archive: str, download: str, data: str, cer: str, source: str, note: str = ""):
    """A checkpoint that WeNet publishes as an archive; its licence is that of the data it was trained on."""
    return PublishedModel(
        name=name,
        toolkit="wenet",
        title=title,
        repositories={"huggingface": Repository("openspeech/wenet-models")},
        files=(PublishedFile(archive),),
        download=download,
        licence=f"as its training data ({data})",
        cer=cer,
        source=_WENET + source,
        note=f"{_WENET_NOTE} {note}".strip(),
    )


_ROWS = (
    PublishedModel(
        name="firered2-aed",
        toolkit="firered",
        title="FireRedASR2-AED: Conformer and Transformer decoder, 1.1 B parameters, Mandarin, dialects, English",
        repositories={
            "huggingface": Repository("FireRedTeam/FireRedASR2-AED", "2304afed56eacfee6256dee5937ed22ffa0b64ec"),
            "modelscope": Repository("xukaituo/FireRedASR2-AED", "master"),
        },
        files=(
            PublishedFile(
                "model.pth.tar", 4_731_558_506, "4677cbd30988d63ed3e777f6a42a1e5260a3865317f6e15e488bef40954f7054"
            ),
            PublishedFile("cmvn.ark", 1_311, "6efba6105429d1630c05d818d956bfe4edfad37a04b3b27bb5a029b9adb37945"),
            PublishedFile("dict.txt", 79_172, "1bc613de2112d257e61a349c3e72d1b1a9cf19c33d3ca954197ad2171e5ea07b"),
            PublishedFile(
                "train_bpe1000.model", 251_707, "473bbc157cb4eade2059b30a3c877a1c29bd50cadbfbed869ae36eeade7fee07"
            ),
        ),
        download="4.73 GB",
        licence="Apache-2.0",
        cer="AISHELL-1 0.57, AISHELL-2 2.51, WenetSpeech net 4.57, meeting 4.53; average 3.05",
        source="README of FireRedTeam/FireRedASR2S; licence, and the checksum of train_bpe1000.model, on the Hugging"
        " Face pages; the other checksums, sizes and the revision in the resource list of a public desktop program",
        note="At most 60 s at a time, its makers say.",
    ),
    PublishedModel(
        name="firered-aed-l",
        toolkit="firered",
        title="FireRedASR-AED-L, the first generation: 1.1 B parameters, no CTC head",
        repositories={"huggingface": Repository("FireRedTeam/FireRedASR-AED-L")},
        files=(
            PublishedFile("model.pth.tar", 0, "12380d0b4b6b83b09306292f3ab7e276bc84e2feeec33ce956b1a488cd4867e3"),
            PublishedFile("cmvn.ark"),
            PublishedFile("dict.txt"),
            PublishedFile("train_bpe1000.model"),
        ),
        download="4.68 GB",
        licence="Apache-2.0",
        cer="AISHELL-1 0.55, AISHELL-2 2.52, WenetSpeech net 4.88, meeting 4.76; average 3.18",
        source="README of FireRedTeam/FireRedASR; licence, size and checksum on the Hugging Face pages",
        note="At most 60 s at a time, its makers say.",
    ),
    PublishedModel(
        name="espnet-wenetspeech",
        toolkit="espnet",
        title="ESPnet2 Conformer trained on WenetSpeech (10,000 h)",
        repositories={
            "huggingface": Repository(
                "espnet/pengcheng_guo_wenetspeech_asr_train_asr_raw_zh_char", "eba0dc66a040562cca1f263a5d14d01c3fd4c668"
            )
        },
        files=(
            PublishedFile("meta.yaml"),
            PublishedFile("exp/asr_train_asr_raw_zh_char/config.yaml"),
            PublishedFile("exp/asr_train_asr_raw_zh_char/valid.acc.ave_10best.pth"),
            PublishedFile("exp/asr_stats_raw_zh_char/train/feats_stats.npz"),
        ),
        download="",
        licence="CC-BY-4.0",
        cer="AISHELL-1 3.9, WenetSpeech dev 9.7",
        source="model card and commit page on Hugging Face",
    ),
    PublishedModel(
        name="espnet-aishell",
        toolkit="espnet",
        title="ESPnet2 Conformer trained on AISHELL-1 (ESPnet 0.9.0)",
        repositories={
            "huggingface": Repository(
                "espnet/kamo-naoyuki_aishell_conformer", "d9b8e7847fc70a0e6f138bba470d01750243ec1e"
            )
        },
        files=(
            PublishedFile("meta.yaml"),
            PublishedFile("exp/asr_train_asr_conformer3_raw_char_batch_bins4000000_accum_grad4_sp/config.yaml"),
            PublishedFile(
                "exp/asr_train_asr_conformer3_raw_char_batch_bins4000000_accum_grad4_sp/valid.acc.ave_10best.pth"
            ),
            PublishedFile("exp/asr_stats_raw_sp/train/feats_stats.npz"),
        ),
        download="",
        licence="CC-BY-4.0",
        cer="AISHELL-1 4.7, dev 4.4, with a Transformer language model, which is not fetched",
        source="egs2/aishell/asr1/README.md of ESPnet; pages of the repository on Hugging Face",
    ),
    _wenet(
        name="wenet-wenetspeech",
        title="WeNet U2++ Conformer trained on WenetSpeech (10,000 h)",
        archive="wenetspeech_u2pp_conformer_exp.tar.gz",
        download="499 MB",
        data="WenetSpeech",
        cer="",
        source="",
        note="WeNet's recipe gives figures of several models of this kind, and does not say which is this file's.",
    ),
    _wenet(
        name="wenet-aishell2",
        title="WeNet U2++ Conformer trained on AISHELL-2 (1,000 h)",
        archive="aishell2_u2pp_conformer_exp.tar.gz",
        download="196 MB",
        data="AISHELL-2",
        cer="AISHELL-2 iOS 5.39, CTC hypotheses rescored by attention",
        source="; examples/aishell2/s0/README.md of WeNet, which does not name the file",
    ),
    _wenet(
        name="wenet-aishell",
        title="WeNet U2++ Conformer trained on AISHELL-1",
        archive="aishell_u2pp_conformer_exp.tar.gz",
        download="191 MB",
        data="AISHELL-1",
        cer="AISHELL-1 4.63, CTC hypotheses rescored by attention",
        source="; examples/aishell/s0/README.md of WeNet, which does not name the file",
    ),
    _wenet(
        name="wenet-multi-cn",
        title="WeNet Conformer trained on the open Mandarin corpora, AISHELL-2 and TAL",
        archive="multi_cn_unified_conformer_exp.tar.gz",
        download="202 MB",
        data="several corpora",
        cer="",
        source="; examples/multi_cn/s0/README.md of WeNet",
        note="The recipe's README does not say which of its figures is this file's.",
    ),
    PublishedModel(
        name="speechbrain-aishell",
        toolkit="speechbrain",
        title="SpeechBrain Transformer trained on AISHELL-1",
        repositories={
            "huggingface": Repository("speechbrain/asr-transformer-aishell", "703ce755c649ba09211202a35a7cff2eb6eadb8c")
        },
        files=(
            PublishedFile("asr.ckpt"),
            PublishedFile("hyperparams.yaml"),
            PublishedFile("normalizer.ckpt"),
            PublishedFile("tokenizer.ckpt"),
        ),
        download="127 MB",
        licence="Apache-2.0",
        cer="AISHELL-1 6.04, dev 5.60",
        source="recipes/AISHELL-1/ASR/transformer/README.md of SpeechBrain; pages of the repository on Hugging Face",
    ),
)

PUBLISHED = {model.name: model for model in _ROWS}
"""By name, the most accurate first as far as is known."""
