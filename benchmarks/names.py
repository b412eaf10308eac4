"""How many names come out right, with and without hot words and --correct-names, and what that spoils where no name is said.

    python benchmarks/names.py SPEECH

SPEECH is the folder that benchmarks/timestamps.py takes. A hundred sentences with fifty rare names, and two hundred without,
are spoken by joining its recordings of single syllables: a synthesiser of one voice and no melody, which is recognised worse
than a person. What is right is the name, character by character. Harm is what a correction changed where no name was said.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch

from asr.audio.reading import SAMPLE_RATE
from asr.catalogue.opening import Decoding, Opened, hotwords_of, open_decoding
from asr.recognition.heard_tokens import heard_tokens
from asr.recognition.names import corrected, corrections_of
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors, char_errors
from asr.text.pinyin import tonal_syllables
from asr.transcript import TranscriptToken, joined

sys.path.insert(0, str(Path(__file__).parent))
import timestamps  # noqa: E402

NAMES = (
    "章珊 聂芷岚 欧阳诗韵 诸葛婉清 司徒静姝 慕容雪霁 上官昱辰 令狐瑾瑜 尉迟恒毅 濮阳沐晨 佘蔓菁 闵柏霖 邬梓涵 荀彧宁 "
    "褚煜祺 翟墨涵 蔺宛童 匡靖远 郗若溪 殷怀瑾 缪思邈 隋昭华 麴明哲 阮青禾 宓妍希 卞珂玥 柯景澄 仇砚舟 "
    "鄢知夏 牟奕辰 娄星阑 逄书瑶 冼嘉禾 桑榆晚 祁慕白 闻人语 巫清晏 邸若萱 晏殊同 谌南乔 韶华年 阙云舒 "
    "幸子墨 简兮然 樊胜意 瞿伯庸 郝瑾轩 湛蓝心 费雨桐 鞠曦月"
).split()
CARRIERS = ("请{}明天上午来开会", "我昨天在北京见到了{}")
TEMPO = 1.6
"""Times as fast as the syllables were recorded, one by one."""
SUBJECTS = "我们 他们 老师 学生 医生 朋友 妈妈 经理 同事 孩子 邻居 司机 工人 弟弟 姐姐 客人 警察 记者 农民 专家".split()
PREDICATES = (
    "今天下午去学校上课 正在讨论这个问题 已经买好了火车票 不喜欢下雨的天气 想知道现在几点了 每天早上喝一杯水 刚才打电话问价格 "
    "准备明年去南方旅行 觉得这本书非常好看 需要更多时间来完成"
).split()


def spoken(text: str, syllables: dict[str, np.ndarray]) -> np.ndarray:
    """The text said syllable by syllable (S,); a neutral tone, where it was not recorded, as the first tone."""
    said = [s if s in syllables else f"{s[:-1]}1" for s in tonal_syllables(text)]
    recording = timestamps.joined([syllables[s] for s in said if s in syllables], text)
    return timestamps.faster(recording, TEMPO).samples.astype(np.float32)


def heard(opened: Opened, hotwords: Sequence[str], recordings: Sequence[np.ndarray]) -> list[list[TranscriptToken]]:
    """What is recognised of each recording, with these hot words."""
    words = hotwords_of(Decoding(hotwords=hotwords), opened.loaded, opened.settings) if hotwords else None
    recognizer = Recognizer(opened.loaded.model, opened.loaded.tokenizer, opened.settings, opened.lm, hotwords=words)
    return [heard_tokens(nbest[0].hypothesis, recognizer.tokenizer) for nbest in recognizer.recognize(recordings)]


def named(tokens: Sequence[TranscriptToken]) -> list[TranscriptToken]:
    """The tokens with names where they sound so."""
    return corrected(tokens, corrections_of(tokens, NAMES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="a folder with train.tsv, which names recorded syllables")
    parser.add_argument("--model", default="", help="a model folder or name; embedded by default")
    parser.add_argument("--of", type=int, default=1, help="look at one in so many sentences only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    syllables = timestamps.recorded_syllables(options.speech)
    opened = open_decoding(Decoding(options.model))
    with_names = [(name, carrier.format(name)) for name in NAMES for carrier in CARRIERS][:: options.of]
    without = [subject + predicate for subject, predicate in product(SUBJECTS, PREDICATES)][:: options.of]
    speech = [spoken(text, syllables) for text in [*(text for _, text in with_names), *without]]
    print(
        f"{len(with_names)} sentences with a name, {len(without)} without; {sum(map(len, speech)) / SAMPLE_RATE:.0f} s"
    )
    for hotwords, about in (((), "no hot words"), (NAMES, "hot words")):
        found = heard(opened, hotwords, speech)
        for change, more in ((list, ""), (named, " and --correct-names")):
            texts = [joined(change(tokens)) for tokens in found]
            right = sum(name in text for (name, _), text in zip(with_names, texts, strict=False))
            plain, errors, changed = texts[len(with_names) :], CharErrors(), 0
            for reference, text, tokens in zip(without, plain, found[len(with_names) :], strict=True):
                errors += char_errors(reference, text)
                changed += sum(a.text != b.text for a, b in zip(tokens, change(tokens), strict=True))
            print(
                f"{about + more:36} {right} of {len(with_names)} names right;"
                f" without a name CER {100 * errors.cer:.2f} %, {changed} of {errors.reference:,} characters corrected"
            )


if __name__ == "__main__":
    main()
