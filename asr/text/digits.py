"""Spoken numbers as digits, where it is sure that they are numbers: 二零二四年三月五号 is 2024年3月5号, 三心二意 stays.

The rule for what is ambiguous: it stays. In particular
- a single numeral stays (三个, 星期一, 第二, 十年, 百米), and 一 before any unit too (一小时, 一米八). It becomes a digit only
  in dates, times, percentages, fractions, decimals, scores, below zero, and before units that mean nothing else (五公斤);
- two digits in a row are an estimate (七八个) or a name (五四, 双十一): they stay, but for 九八年, 零八年, 九零后;
- shortened numbers (一百二, 三千五, 二百五) and estimates (百八十, 十七八岁, 二三十) stay;
- 十二, 三百 and the like need something behind them that is counted or measured; longer ones do not (三百二十五);
- a digit string is a number if it has 零 or 幺 in it, stands behind a word such as 电话 or 密码, or is long, unless it counts;
- 三点五 is a decimal only before a unit; 八点 and 八点零五 are times only behind a word such as 早上;
- fixed expressions stay: 三百六十行, 十万火急, 十八层地狱;
- where the first numeral belongs to the word before it, all that follow stay: 初一十五, 高三十五班, 张三十八岁, 周三十点;
- what belongs together has one style: 三斤二两, but 15斤6两; 5到12岁, 10乘20毫米; 192.168.1.1 as a whole or not at all;
- 负 is a minus before what is surely a number: -12度, but 负一楼.
"""

from typing import NamedTuple

from asr.text.kept_numerals import kept_spans
from asr.text.number_rules import RULES
from asr.text.number_wholes import as_wholes


class Replacement(NamedTuple):
    """A stretch of a text and what stands in its place."""

    first: int
    """Place of its first character."""
    end: int
    """Place behind its last one."""
    text: str
    """The digits."""


def write_digits(text: str) -> str:
    """A plain text with its numbers as digits: what `--numbers digits` does to transcripts, whose times `find_numbers` keeps.

    Example: `一共三百二十五块，打八折` is `一共325块，打八折`.
    """
    written, at = "", 0
    for replacement in find_numbers(text):
        written += text[at : replacement.first] + replacement.text
        at = replacement.end
    return written + text[at:]


def find_numbers(text: str) -> list[Replacement]:
    """The numbers of a text that are sure to be numbers, in order, without overlap: the first rule that fits wins."""
    kept = _kept(text)
    taken = bytearray(kept)
    found: list[Replacement] = []
    for pattern, write in RULES:
        for match in pattern.finditer(text):
            for name, written in write(match).items():
                first, end = match.span(name)
                if written is not None and first >= 0 and not any(taken[first:end]):
                    taken[first:end] = b"\1" * (end - first)
                    found += [Replacement(first, end, written)] if written else []
    return [Replacement(*number) for number in as_wholes(text, found, kept)]


def _kept(text: str) -> bytes:
    """A byte for each character, 1 where numerals are no number."""
    kept = bytearray(len(text))
    for first, end in kept_spans(text):
        kept[first:end] = b"\1" * (end - first)
    return bytes(kept)
