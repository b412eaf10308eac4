"""Every public corpus in its published layout, two or three utterances a split, and what the embedded model is made from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from asr.audio.reading import SAMPLE_RATE
from tests.sounds import sine


def audio(path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1) -> Path:
    """A tone in whatever format the name says, louder on the first channel than on the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.linspace(0.5, 0.1, channels, dtype=np.float32) if channels > 1 else np.float32(0.5)
    kind = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, sine(seconds, rate, level=1.0)[:, None] * levels, rate, **kind)
    return path


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def aishell(root: Path) -> None:
    lines = []
    for split, speaker in (("train", "S0002"), ("dev", "S0724"), ("test", "S0764")):
        for i in (1, 2):
            id = f"BAC009{speaker}W{i:04d}"
            audio(root / f"data_aishell/wav/{split}/{speaker}/{id}.wav", 0.5 + 0.1 * i)
            lines.append(f"{id} 今天 天气 很 好" if i == 1 else f"{id} ｂ 超 检查")
    audio(root / "data_aishell/wav/train/S0002/BAC009S0002W0003.wav")  # the published one has 325 without transcript
    write(root / "data_aishell/transcript/aishell_transcript_v0.8.txt", *lines)


def aishell2(root: Path) -> None:
    for folder, speaker in (("data", "C0001"), ("dev", "D0005"), ("test", "T0005")):
        ids = [f"I{speaker}W000{i}" for i in (1, 2)]
        for id in ids:
            audio(root / f"AISHELL-2/iOS/{folder}/wav/{speaker}/{id}.wav")
        write(root / f"AISHELL-2/iOS/{folder}/trans.txt", f"{ids[0]}\t今天天气很好", f"{ids[1]}\t听beat it")


def aishell3(root: Path) -> None:
    write(
        root / "spk-info.txt", "# SPEAKER\tAGE\tGENDER\tACCENT", "SSB0005\tB\tfemale\tnorth", "SSB0009\tB\tmale\tsouth"
    )
    write(root / "train/label_train-set.txt", "# header", "SSB00050001|guang3 zhou1|广 州%$")
    for split, speaker in (("train", "SSB0005"), ("test", "SSB0009")):
        audio(root / f"{split}/wav/{speaker}/{speaker}0001.wav", rate=44100)
        write(root / f"{split}/content.txt", f"{speaker}0001.wav\t广 guang3 州 zhou1 女 nv3 大 da4")


def text_grid(path: Path, tiers: dict[str, list[tuple[float, float, str]]], seconds: float) -> None:
    """A Praat TextGrid whose intervals cover each tier, as the format wants it."""
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {seconds}"]
    out += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for n, (name, intervals) in enumerate(tiers.items(), 1):
        out += [f"    item [{n}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        out += ["        xmin = 0", f"        xmax = {seconds}", f"        intervals: size = {len(intervals)}"]
        for i, (start, end, text) in enumerate(intervals, 1):
            out += [f"        intervals [{i}]:", f"            xmin = {start}", f"            xmax = {end}"]
            out += [f'            text = "{text}"']
    write(path, *out)


def aishell4(root: Path) -> None:
    for part, room in (("train_L", "L"), ("train_M", "M"), ("train_S", "S"), ("test", "L")):
        name = f"20200616_{room}_R001S0{len(part)}C01"
        audio(root / f"{part}/wav/{name}.flac", 2.0, channels=8)
        tiers = {
            "001-M": [(0, 0.5, ""), (0.5, 1.25, "今天<sil>开会，"), (1.25, 2, "")],
            "002-F": [(0, 1.0, ""), (1.0, 2, "好的<%>")],
        }
        text_grid(root / f"{part}/TextGrid/{name}.TextGrid", tiers, 2.0)


def alimeeting(root: Path) -> None:
    said = [(0, 0.5, ""), (0.5, 1.5, "我们开始，"), (1.5, 2, "")]
    for part in ("Train", "Eval", "Test"):
        folder = root if part == "Train" else root / f"{part}_Ali"
        meeting, speaker = f"R000{len(part)}_M0046", f"SPK00{len(part)}3"
        near, far = folder / f"{part}_Ali_near", folder / f"{part}_Ali_far"
        audio(near / f"audio_dir/{meeting}_F_{speaker}.wav", 2.0)
        text_grid(near / f"textgrid_dir/{meeting}_F_{speaker}.TextGrid", {f"{meeting}_F_{speaker}": said}, 2.0)
        audio(far / f"audio_dir/{meeting}_MS002.wav", 2.0, channels=8)
        text_grid(far / f"textgrid_dir/{meeting}.TextGrid", {f"{meeting}_F_{speaker}": said}, 2.0)


def thchs30(root: Path) -> None:
    data = root / "data_thchs30"
    for split, speaker in (("train", "A2"), ("dev", "A11"), ("test", "D4")):
        for i in (0, 1):
            id = f"{speaker}_{i}"
            audio(data / f"data/{id}.wav")
            write(data / f"data/{id}.wav.trn", "绿 是 阳春 烟 景", "lv4 shi4 yang2 chun1 yan1 jing3", "l v4 sh ix4")
            (data / split).mkdir(exist_ok=True)
            (data / f"{split}/{id}.wav").symlink_to(f"../data/{id}.wav")
            write(data / f"{split}/{id}.wav.trn", f"../data/{id}.wav.trn")


def stcmds(root: Path) -> None:
    for speaker in ("P00001A", "P00002I"):
        id = f"20170001{speaker}0001"
        audio(root / f"ST-CMDS-20170001_1-OS/{id}.wav")
        write(root / f"ST-CMDS-20170001_1-OS/{id}.txt", "他站在门口，等着")
        write(root / f"ST-CMDS-20170001_1-OS/{id}.metadata", "SES\t01")


def primewords(root: Path) -> None:
    utterances = []
    for i, user in ((0, "1030"), (1, "1031")):
        name = f"0{i}c5c6cf-2ebe-4b87-bf9e-8c4b5a3c8a0{i}.wav"
        audio(root / f"primewords_md_2018_set1/audio_files/0/0{i}/{name}")
        utterances.append({"id": str(i), "user_id": user, "text": "今天 天气 很 好", "length": "0.5", "file": name})
    write(root / "primewords_md_2018_set1/set1_transcript.json", json.dumps(utterances, ensure_ascii=False))


def magicdata(root: Path) -> None:
    for split, speaker in (("train", "5_1812"), ("dev", "5_541"), ("test", "38_5837")):
        id = f"{speaker}_20170614184106"
        audio(root / f"{split}/{speaker}/{id}.wav")
        audio(root / f"{split}/{speaker}/{id}9.wav")
        write(
            root / f"{split}/TRANS.txt",
            "UtteranceID\tSpeakerID\tTranscription",
            f"{id}.wav\t{speaker}\t请打开空调，ok？",
            f"{id}9.wav\t{speaker}\t[FIL]",
        )


def aidatatang_200zh(root: Path) -> None:
    lines = []
    for split, speaker in (("train", "G0013"), ("dev", "G0048"), ("test", "G0024")):
        id = f"T0055{speaker}S0001"
        audio(root / f"aidatatang_200zh/corpus/{split}/{speaker}/{id}.wav")
        for suffix in ("txt", "trn", "metadata"):
            write(root / f"aidatatang_200zh/corpus/{split}/{speaker}/{id}.{suffix}", "今天天气")
        lines.append(f"{id} 以后 你 是 男 孩子")
    write(root / "aidatatang_200zh/transcript/aidatatang_200_zh_transcript.txt", *lines)


def common_voice(root: Path, locale: str) -> None:
    header = (
        "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\taccents\tvariant"
    )
    header += "\tlocale\tsegment"
    for n, split in enumerate(("train", "dev", "test")):
        rows = []
        for i in (0, 1):
            name = f"common_voice_{locale}_{n}{i}.mp3"
            audio(root / f"{locale}/clips/{name}", rate=48000)
            text = '他说"你好' if i else "宋朝末年年间定居粉岭围。"
            rows.append(f"speaker{n}\t{name}\t{n}{i}\t{text}\t\t2\t0\t\t\t\t\t{locale}\t")
        write(root / f"{locale}/{split}.tsv", header, *rows)


def fleurs(root: Path) -> None:
    for n, split in enumerate(("train", "dev", "test")):
        rows = []
        for i, gender in ((0, "MALE"), (1, "FEMALE")):  # the same sentence, read by two people
            name = f"{n}{i}094632109738473.wav"
            audio(root / f"cmn_hans_cn/audio/{split}/{name}")
            rows.append(
                f"16{n}\t{name}\t这并不是告别，它是新的开始。\t这并不是告别它是新的开始\t这 并 |\t8000\t{gender}"
            )
        write(root / f"cmn_hans_cn/{split}.tsv", *rows)


def wenetspeech(root: Path) -> None:
    audios = []
    for subsets in (["L", "M", "S"], ["L"], ["DEV"], ["TEST_NET"], ["TEST_MEETING"]):
        aid = f"Y0000000{len(audios)}_wrong"
        path = f"audio/train/youtube/B00000/{aid}.opus"
        audio(root / path, 3.0)
        segment = {"begin_time": 0.5, "end_time": 1.75, "text": " 怎么样这些日子住得还习惯吧 ", "confidence": 1.0}
        segments = [segment | {"sid": f"{aid}_S00000", "subsets": subsets}]
        audios.append(
            {"aid": aid, "duration": 3.0, "md5": "x", "path": path, "source": "youtube", "segments": segments}
        )
    write(root / "WenetSpeech.json", json.dumps({"audios": audios}, ensure_ascii=False))


def kespeech(root: Path) -> None:
    for n, part in enumerate(("train_phase1", "train_phase2", "dev_phase1", "dev_phase2", "test")):
        id, speaker = f"100000{n}_5f0d9a1b", f"100000{n}"
        audio(root / f"Audio/{speaker}/phase1/{id}.wav")
        folder = root / f"Tasks/ASR/{part}"
        write(folder / "wav.scp", f"{id} Audio/{speaker}/phase1/{id}.wav")
        write(folder / "text", f"{id} 今天天气<SPOKEN_NOISE>很好")
        write(folder / "utt2spk", f"{id} {speaker}")
        write(folder / "utt2subdialect", f"{id} {'Mandarin' if n else 'Zhongyuan'}")


class Miniature(NamedTuple):
    """A public corpus in its published layout, with an utterance or two in each split."""

    write: Callable[[Path], object]
    """Puts it into a folder."""
    splits: dict[str, int]
    """Its official splits, and the utterances of each."""
    first: tuple[str, str, str, float, str]
    """(split, id, text, seconds, speaker) of an utterance."""


MINIATURES = {
    "aishell": Miniature(
        aishell, {"train": 2, "dev": 2, "test": 2}, ("train", "BAC009S0002W0001", "今天天气很好", 0.6, "S0002")
    ),
    "aishell2": Miniature(
        aishell2, {"train": 2, "dev": 2, "test": 2}, ("train", "IC0001W0001", "今天天气很好", 0.5, "C0001")
    ),
    "aishell3": Miniature(aishell3, {"train": 1, "test": 1}, ("test", "SSB00090001", "广州女大", 0.5, "SSB0009")),
    "aishell4": Miniature(
        aishell4,
        {"train_l": 2, "train_m": 2, "train_s": 2, "test": 2},
        ("train_l", "20200616_L_R001S07C01-SPK0001-1", "今天开会", 0.75, "SPK0001"),
    ),
    "alimeeting": Miniature(
        alimeeting,
        {"train_near": 1, "train_far": 1, "dev_near": 1, "dev_far": 1, "test_near": 1, "test_far": 1},
        ("dev_far", "R0004_M0046-0043-1", "我们开始", 1.0, "0043"),
    ),
    "thchs30": Miniature(thchs30, {"train": 2, "dev": 2, "test": 2}, ("test", "D4_0", "绿 是 阳春 烟 景", 0.5, "D4")),
    "stcmds": Miniature(stcmds, {"train": 2}, ("train", "20170001P00001A0001", "他站在门口等着", 0.5, "P00001A")),
    "primewords": Miniature(
        primewords, {"train": 2}, ("train", "00c5c6cf-2ebe-4b87-bf9e-8c4b5a3c8a00", "今天 天气 很 好", 0.5, "1030")
    ),
    "magicdata": Miniature(
        magicdata, {"train": 1, "dev": 1, "test": 1}, ("test", "38_5837_20170614184106", "请打开空调OK", 0.5, "38_5837")
    ),
    "aidatatang_200zh": Miniature(
        aidatatang_200zh,
        {"train": 1, "dev": 1, "test": 1},
        ("dev", "T0055G0048S0001", "以后 你 是 男 孩子", 0.5, "G0048"),
    ),
    "commonvoice_zh_cn": Miniature(
        lambda root: common_voice(root, "zh-CN"),
        {"train": 2, "dev": 2, "test": 2},
        ("train", "common_voice_zh-CN_00", "宋朝末年年间定居粉岭围。", 0.5, "speaker0"),
    ),
    "commonvoice_zh_tw": Miniature(
        lambda root: common_voice(root, "zh-TW"),
        {"train": 2, "dev": 2, "test": 2},
        ("test", "common_voice_zh-TW_20", "宋朝末年年间定居粉岭围。", 0.5, "speaker2"),
    ),
    "fleurs": Miniature(
        fleurs,
        {"train": 2, "dev": 2, "test": 2},
        ("dev", "161_10094632109738473", "这并不是告别，它是新的开始。", 0.5, ""),
    ),
    "wenetspeech": Miniature(
        wenetspeech,
        {"l": 2, "m": 1, "s": 1, "dev": 1, "test_net": 1, "test_meeting": 1},
        ("test_meeting", "Y00000004_wrong_S00000", "怎么样这些日子住得还习惯吧", 1.25, ""),
    ),
    "kespeech": Miniature(
        kespeech,
        {"train_phase1": 1, "train_phase2": 1, "dev_phase1": 1, "dev_phase2": 1, "test": 1},
        ("train_phase1", "1000000_5f0d9a1b", "今天天气很好", 0.5, "1000000"),
    ),
}


HEADER = "id\taudio\ttext\tspeaker\tseconds\tsource\tkind\tlicence\tpinyin\n"
TRAIN = {"w1": "今天", "w2": "天气", "w3": "很", "w4": "好", "w5": "你好"}


def recorded_speech(root: Path) -> Path:
    """A folder of words that are tones of their own height, with silence before and after them, and a dev sentence."""
    folder = root / "speech"
    folder.mkdir()
    rows = []
    for i, (name, text) in enumerate(TRAIN.items()):
        silence = np.zeros(SAMPLE_RATE // 2)
        soundfile.write(
            folder / f"{name}.wav", np.concatenate([silence, sine(0.4, hz=300 + 200 * i), silence]), SAMPLE_RATE
        )
        rows.append(f"{name}\t{name}.wav\t{text}\tA\t1.4\thsk\tword\tCC-BY-SA\t\n")
    for i, syllable in enumerate(("jin1", "tian1", "qi4", "hen2", "hao3", "ni2", "ni3")):
        rows.append(f"s{i}\tw1.wav\t\tA\t1.4\tsyllables\tsyllable\tCC-BY-SA\t{syllable}\n")
    rows.append("r1\tw2.wav\t你好天气\tB\t1.4\taishell\tsentence\tfree\t\n")
    rows.append("r2\tw3.wav\t很好\tB\t1.4\taishell\tsentence\tfree\t\n")
    rows.append("c1\tw4.wav\t你好\tE\t1.4\tdsp20\tword\tfree\t\n")
    (folder / "train.tsv").write_text(HEADER + "".join(rows))
    dev = [
        "d1\tw3.wav\t今天天气很好\tC\t1.4\tdev\tsentence\tfree\t\n",
        "d2\tw4.wav\t你好\tD\t1.4\tdsp20\tword\tfree\t\n",
    ]
    (folder / "dev.tsv").write_text(HEADER + "".join(dev))
    (root / "text.txt").write_text("今天很好\n今天天气很好\n你好\n天气预报\n你好 天气\n")
    return folder
