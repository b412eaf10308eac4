"""Numbers as digits: what must stay, what must be converted, and what a number is."""

import random
import re

import pytest

from asr.text.digits import find_numbers, write_digits
from asr.text.numbers import spell_numbers
from asr.text.numerals import cardinal
from tests.conftest import ROOT

TABLE = [
    item
    for name in ("number_traps.txt", "number_traps_by_kind.txt")
    for line in (ROOT / "tests" / name).read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for item in line.split()
]
STAY = [item for item in TABLE if "=" not in item]
CONVERT = dict(item.split("=") for item in TABLE if "=" in item)


def test_what_is_no_number_stays():
    assert len(set(STAY)) >= 300
    assert {phrase: write_digits(phrase) for phrase in STAY} == {phrase: phrase for phrase in STAY}


def test_what_is_a_number_is_converted():
    wrong = {phrase: write_digits(phrase) for phrase, right in CONVERT.items() if write_digits(phrase) != right}
    share = 1 - len(wrong) / len(CONVERT)
    print(f"{len(STAY)} phrases stay; {100 * share:.1f} % of {len(CONVERT)} are converted; wrong: {wrong}")
    assert len(CONVERT) >= 300 and share >= 0.95
    assert all(written == phrase for phrase, written in wrong.items())  # left as they were, not spoiled


def test_phrases_side_by_side_do_not_disturb_each_other():
    """A sentence of several phrases, parted by a word that has no part in any rule."""
    right = CONVERT | {phrase: phrase for phrase in STAY}
    for seed in range(200):
        chosen = random.Random(seed).sample(sorted(right), 3)
        chosen = [phrase for phrase in chosen if write_digits(phrase) == right[phrase]]
        assert write_digits("呀".join(chosen)) == "呀".join(right[phrase] for phrase in chosen)


def test_every_cardinal_number_is_read_back():
    """Spelled by cn2an, an independent writer of numbers; read by us."""
    numbers = [*range(1000), *range(1000, 100_000, 997), 10**8, 3 * 10**8 + 5 * 10**7, 120_000, 1_050_003]
    assert [cardinal(spell_numbers(str(n))) for n in numbers] == numbers


@pytest.mark.parametrize(
    "wrong", ["百八", "三十五六", "二百五", "一百零", "十十", "二三", "三百二十十", "零零", "万一", "一二百"]
)
def test_what_is_no_complete_number_has_no_value(wrong):
    assert cardinal(wrong) is None


def test_replacements_are_in_order_and_apart():
    found = find_numbers("二零二四年三月五号下午三点二十分，一共三百二十五块，占百分之三十")
    assert [r.text for r in found] == ["2024", "3", "5", "3", "20", "325", "30%"]
    assert all(a.end <= b.first for a, b in zip(found, found[1:], strict=False))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("每月初一十五去上香高三十五班的张三十八岁", None),
        ("从八岁到十二岁的孩子一共三十个其中十五个男孩", "从8岁到12岁的孩子一共30个其中15个男孩"),
        ("他跑了十五分四秒我跑了三分四秒", "他跑了15分4秒我跑了3分4秒"),
        ("一天二十四小时他工作十小时零三十分", "一天24小时他工作10小时零30分"),
        ("地址是幺零点二百点三点幺五端口八零八零", "地址是10.200.3.15端口8080"),
        ("十五六到二十岁", None),
        ("负一楼到负十二度", "负一楼到-12度"),
    ],
)
def test_what_belongs_together_is_written_in_one_style(text, right):
    assert write_digits(text) == (right or text)


def test_every_part_of_a_whole_is_written_or_none():
    """Quantities of two parts, ranges and products of any two numbers: never one in digits and one in numerals."""
    source = random.Random(0)
    joints = [
        "{}分{}秒",
        "{}斤{}两",
        "{}元{}角",
        "{}到{}岁",
        "{}号到{}号",
        "{}乘{}毫米",
        "{}比{}",
        "{}块到{}块",
        "{}乘以{}等于",
    ]
    for _ in range(500):
        a, b = (spell_numbers(str(source.randint(2, 59))) for _ in range(2))
        for joint in joints:
            written = write_digits(text := joint.format(a, b))
            assert written == text or not re.search("[一二三四五六七八九十]", written), (text, written)


@pytest.mark.parametrize("text", ["", "没有数字", "HELLO WORLD 3", "2024年3月", "！？"])
def test_other_text_stays(text):
    assert write_digits(text) == text


@pytest.mark.parametrize("piece", ["三百", "一万", "一亿"])
def test_numerals_without_end_are_no_number(piece):
    text = piece * 2000
    assert write_digits(text) == text
