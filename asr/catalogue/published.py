"""The models of other toolkits that `asr model pull NAME` knows how to fetch.

Every figure, revision and checksum here was read in the source that stands beside it; what was not read is left blank.
Files without a checksum are checked against the one that the hub states, where it states one. No row has been run on
the published file yet: the importers are tested on small checkpoints that the toolkits' own code wrote.
"""

import difflib

from asr.catalogue.published_model import PublishedFile, PublishedModel, Repository
from asr.errors import DownloadError


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


_HUGGING_FACE = ("config.json", "generation_config.json", "preprocessor_config.json", "vocab.json", "added_tokens.json")
"""What stands beside the weights of a Whisper model."""


def _whisper(name: str, parameters: str, revision: str, weights: PublishedFile, *, modelscope: bool = True, **row):
    """A multilingual model of OpenAI's, whose figures for Mandarin are others'; `row`: what is particular to it."""
    mirror = {"modelscope": Repository(f"AI-ModelScope/{name}", "master")} if modelscope else {}
    usual = {
        "licence": "Apache-2.0",
        "source": "pages of the repository on Hugging Face; README_en.md of yeyupiaoling/Whisper-Finetune",
        "cer_by": "yeyupiaoling/Whisper-Finetune says",
    }
    note = f"{_WINDOW} {row.pop('note', '')}".strip()
    return PublishedModel(
        name=name,
        toolkit="whisper",
        title=f"OpenAI's {name}: {parameters} parameters, 99 languages, told to write Mandarin",
        repositories={"huggingface": Repository(f"openai/{name}", revision)} | mirror,
        files=(weights, *map(PublishedFile, _HUGGING_FACE)),
        note=note,
        **(usual | row),
    )


_WINDOW = (
    "Hears 30 s at once, and takes as long for less. Writes traditional characters now and then: --script simplified."
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
        name="belle-whisper-large-v3-zh",
        toolkit="whisper",
        title="Belle: Whisper large-v3 fine-tuned on AISHELL-1, AISHELL-2, WenetSpeech and HKUST, 1,550 M parameters",
        repositories={"huggingface": Repository("BELLE-2/Belle-whisper-large-v3-zh")},
        files=(
            PublishedFile("pytorch_model.bin", 0, "a2a3a034a38221da4a3e8eaedaeea31baa81bccbd8737524aac31477541c94d2"),
            *map(PublishedFile, _HUGGING_FACE),
        ),
        download="6.17 GB",
        licence="Apache-2.0",
        cer="AISHELL-1 2.78, AISHELL-2 3.79, WenetSpeech net 8.87, meeting 11.25",
        source="model card and pages of the repository on Hugging Face",
        note=_WINDOW,
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
    _whisper(
        "whisper-large-v3",
        "1,550 M",
        "06f233fe06e710322aca913c1bc4249a0d71fce1",
        PublishedFile(
            "model.safetensors", 3_087_130_976, "a8e94b85976e5864ba3e9525c7e6c83b2a1eca42d4b797a0c7c24d778e40fd95"
        ),
        download="3.09 GB",
        cer="AISHELL-1 8.09, WenetSpeech net 11.45, meeting 19.88",
        note="FireRedTeam/FireRedASR measured AISHELL-1 5.14, AISHELL-2 4.96, WenetSpeech net 10.48, meeting 18.87.",
        dtype="float16",
    ),
    _whisper(
        "whisper-large-v3-turbo",
        "809 M",
        "41f01f3fe87f28c78e2fbf8b568835947dd65ed9",
        PublishedFile(
            "model.safetensors", 1_617_824_864, "542566a422ae4f3fd23f1ba11add198fca01bbf82e66e6a2857b3f608b1eb9d1"
        ),
        download="1.62 GB",
        cer="",
        note="Belle's model card has AISHELL-1 8.64 for it.",
        licence="MIT",
        dtype="float16",
    ),
    _whisper(
        "whisper-medium",
        "769 M",
        "abdf7c39ab9d0397620ccaea8974cc764cd0953e",
        PublishedFile(
            "model.safetensors", 3_055_544_304, "62f73550fa6db24b0c6f6c5962bd0dae80fa644e93cde9cd9c3792971b47fd28"
        ),
        download="3.06 GB",
        cer="AISHELL-1 9.54, WenetSpeech net 13.59, meeting 26.67",
    ),
    _whisper(
        "whisper-small",
        "244 M",
        "973afd24965f72e36ca33b3055d56a652f456b4d",
        PublishedFile(
            "model.safetensors", 966_995_080, "1d7734884874f1a1513ed9aa760a4f8e97aaa02fd6d93a3a85d27b2ae9ca596b"
        ),
        download="967 MB",
        cer="AISHELL-1 13.90, WenetSpeech net 18.42, meeting 31.15",
    ),
    _whisper(
        "whisper-base",
        "74 M",
        "e37978b90ca9030d5170a5c07aadb050351a65bb",
        PublishedFile(
            "model.safetensors", 290_403_936, "07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b"
        ),
        download="290 MB",
        cer="AISHELL-1 22.20, WenetSpeech net 30.40, meeting 50.38",
        modelscope=False,
    ),
    _whisper(
        "whisper-tiny",
        "39 M",
        "169d4a4341b33bc18d8881c4b69c2e104e1cc0af",
        PublishedFile(
            "model.safetensors", 151_061_672, "7ebd0e69e78190ffe1438491fa05cc1f5c1aa3a4c4db3bc1723adbb551ea2395"
        ),
        download="151 MB",
        cer="AISHELL-1 31.90, WenetSpeech net 40.48, meeting 75.33",
    ),
)

PUBLISHED = {model.name: model for model in _ROWS}
"""By name, the most accurate first as far as is known."""
