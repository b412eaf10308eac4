"""Rules that scoring can add to those of training: numbers, scripts, interjections; and how rules are chosen."""

import builtins

import pytest

from asr.errors import AsrError, ConfigError
from asr.text import numbers, scripts
from asr.text.normalize import RULES, TRAINING, is_common_han, normalize, select_rules
from asr.text.numbers import read_aloud, spell_numbers
from asr.text.pinyin import readings, syllable_ids, tonal_syllables
from asr.text.scripts import to_simplified


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024年", "二零二四年"),
        ("二〇二四年", "二零二四年"),
        ("10年", "十年"),
        ("98年", "九十八年"),
        ("30%", "百分之三十"),
        ("99.5%", "百分之九十九点五"),
        ("-3%", "负百分之三"),
        ("5‰", "千分之五"),
        ("3/4的人", "四分之三的人"),
        ("12:30开会", "十二点三十分开会"),
        ("10:05", "十点零五分"),
        ("8:00:09", "八点零九秒"),
        ("2024-05-06", "二零二四年五月六日"),
        ("2024/5/6", "二零二四年五月六日"),
        ("2024/5-6", "五分之二千零二十四到六"),  # no date: its separators differ
        ("1,234,567元", "一百二十三万四千五百六十七元"),
        ("13812345678", "一三八一二三四五六七八"),
        ("拨打13800138000", "拨打一三八零零一三八零零零"),
        ("13000012345", "一三零零零零一二三四五"),
        ("20000000", "二千万"),
        ("10000000元", "一千万元"),
        ("007", "零零七"),
        ("3.14", "三点一四"),
        ("1.5亿", "一点五亿"),
        ("两个", "二个"),
        ("2个", "二个"),
        ("今天-5°C", "今天负五摄氏度"),
        ("A-5", "A-五"),
        ("温度-5度", "温度负五度"),
        ("-3.5~-1.2", "负三点五到负一点二"),
        ("25°-30°", "二十五度到三十度"),
        ("3:2", "三比二"),
        ("涨了三十%", "涨了百分之三十"),
        ("3×5=15", "三乘五等于十五"),
        ("10^2", "十的二次方"),
        ("3·15晚会", "三一五晚会"),
        ("拨打110报警", "拨打一一零报警"),
        ("客服电话：10086", "客服电话：一零零八六"),
        ("12345热线，120急救", "一二三四五热线，一二零急救"),
        ("密码是6位，电话300元", "密码是六位，电话三百元"),
        ("打了300个电话", "打了三百个电话"),
        ("波音747", "波音七四七"),
        ("80后和00后", "八零后和零零后"),
        ("第80后面, 10后退", "第八十后面, 十后退"),
        ("30分钟后", "三十分钟后"),
        ("数到10后停, 年满60后", "数到十后停, 年满六十后"),
        ("从70后到80后", "从七零后到八零后"),
        ("代码1000行, 航班300多架, 房间120平米", "代码一千行, 航班三百多架, 房间一百二十平米"),
        ("编号1000以上, 手机600×800, 号码100-200", "编号一千以上, 手机六百乘八百, 号码一百到二百"),
        ("密码123456, 房间1203室", "密码一二三四五六, 房间一二零三室"),
        ("500客服, 300报警", "五百客服, 三百报警"),
        ("192.168.1.1", "一九二点一六八点一点一"),
        ("v2.0.1版", "v二点零点一版"),
        ("3+1⁄2", "三又二分之一"),
        ("$5万", "五万美元"),
        ("-¥3.5", "负三点五元"),
        ("≥5, 18+", "不小于五, 十八加"),
        ("COVID-19", "COVID-十九"),
        ("MP3", "MP三"),
        ("12345678901234567890", "一二三四五六七八九零一二三四五六七八九零"),
        ("5月1日-5月3日", "五月一日到五月三日"),
        ("3%-5%", "百分之三到百分之五"),
        ("3-5天", "三到五天"),
        ("1998-2003年", "一九九八到二零零三年"),
        ("5000年历史", "五千年历史"),
        ("100%", "百分之百"),
        ("30 %", "百分之三十"),
        ("138-1234-5678", "一三八一二三四五六七八"),
        ("010-62771234", "零一零六二七七一二三四"),
        ("12345678元", "一千二百三十四万五千六百七十八元"),
        ("气温 -5 到 3", "气温 负五 到 三"),
        ("没有数字", "没有数字"),
        ("", ""),
    ],
)
def test_numbers_as_they_are_read(written, read):
    assert spell_numbers(written) == read
    assert spell_numbers(read) == read


@pytest.mark.parametrize("piece", ["1", "111,", "1.", "1/", "1-", "$1", "一", "三百", "百分之", "0", "１"])
def test_runs_without_end_are_looked_at_once(piece):
    """Looked at anew from each place, they would take minutes."""
    text = piece * (100_000 // len(piece))
    assert len(spell_numbers(text)) >= len(text) // 2
    assert len(read_aloud(text)) >= len(text) // 2


def test_numbers_that_are_spoken_in_several_ways():
    for spoken, other in (("幺三八", "一三八"), ("两千", "二千"), ("二〇二四", "二零二四"), ("百分之一百", "百分之百")):
        assert spell_numbers(spoken) == spell_numbers(other)
    assert spell_numbers("老幺") == "老幺"


def test_full_width_numbers_are_read_after_the_rule_for_width():
    assert (
        normalize("１２：３０，涨了３０％", ("width", "numbers", "punctuation", "spaces"))
        == "十二点三十分涨了百分之三十"
    )


def test_traditional_characters():
    assert to_simplified("他們發現頭髮、後面和皇后") == "他们发现头发、后面和皇后"
    assert to_simplified("乾隆皇帝") == "乾隆皇帝"
    assert to_simplified("今天天气很好") == "今天天气很好"


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("他看著我等著她", "他看着我等着她"),
        ("穿著睡衣睡著了，著急也沒用", "穿着睡衣睡着了，着急也没用"),
        ("笑著說有著落了", "笑着说有着落了"),
        ("著名作家的著作", "著名作家的著作"),
        ("顯著、土著、原著、名著", "显著、土著、原著、名著"),
        ("兩人合著，他合著眼", "两人合著，他合着眼"),
        ("以勤勞著稱，見微知著", "以勤劳著称，见微知著"),
        ("看著名單，拿著書", "看着名单，拿着书"),
        ("他著有多部小說，看著有點累", "他著有多部小说，看着有点累"),
        ("魯迅著《吶喊》", "鲁迅著《呐喊》"),
        ("靠近著門，睡不著", "靠近着门，睡不着"),
    ],
)
def test_the_particle_zhe_is_told_from_the_word_for_writing(traditional, simplified):
    assert to_simplified(traditional) == simplified


def test_no_rule_of_training_changes_common_characters():
    common = "".join(map(chr, range(0x4E00, 0xA000)))
    assert is_common_han(common) and normalize(common) == common
    assert not any(map(is_common_han, ("你 好", "A", "\u3400", "\uf900", "你。"))) and is_common_han("")


def test_interjections():
    assert normalize("嗯，我觉得啊，可以", (*TRAINING, "interjections")) == "我觉得可以"
    assert normalize("嗯，我觉得", TRAINING) == "嗯我觉得"


def test_tags():
    assert normalize("今<unk>天[NOISE]好<|zh|>", ("tags", *TRAINING)) == "今天好"
    assert normalize("3<5, [一]", ("tags", *TRAINING)) == "3 5一"
    assert normalize("好[noise2][+][/unk]的", ("tags", *TRAINING)) == "好的"


def test_tokens_that_sound_alike():
    assert syllable_ids(["<blank>", "<unk>", "是", "事", "十", "A", "市", "你好"]) == [0, 1, 2, 2, 3, 4, 2, 5]


def test_readings():
    assert {"hang2", "xing2"} <= set(readings("行")) and readings("A") == ("A",)
    assert tonal_syllables("银行行长A的女儿吗") == [
        *("yin2", "hang2", "hang2", "zhang3", "A", "de5", "nv3", "er2", "ma5")
    ]
    assert tonal_syllables("AB 1") == ["A", "B", " ", "1"]
    assert tonal_syllables("") == []


def test_rules_apply_in_their_own_order():
    assert select_rules("spaces,width") == ("width", "spaces")
    signs = ("word_signs", "number_signs")
    assert select_rules("+script, +numbers") == ("width", "script", "numbers", "case", "punctuation", *signs, "spaces")
    assert select_rules("-case,+interjections") == ("width", "interjections", "punctuation", *signs, "spaces")
    assert select_rules("+script,-case", ("case", "spaces")) == ("script", "spaces")
    assert select_rules("none") == ()
    assert select_rules(["spaces", "width"]) == ("width", "spaces") and select_rules(()) == ()
    assert set(TRAINING) < set(RULES)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("+scrpt", "there is no rule 'scrpt'; did you mean script?"),
        (
            "zzz",
            "there is no rule 'zzz'; valid are tags, forms, width, script, numbers, case, interjections, punctuation,"
            " word_signs, number_signs, spaces",
        ),
        ("+script,case", r"rules must either all have a sign or none of them, are '\+script,case'"),
    ],
)
def test_rules_that_do_not_exist(wanted, message):
    with pytest.raises(ConfigError, match=message):
        select_rules(wanted)


def test_without_the_extra_it_is_named(monkeypatch):
    real = builtins.__import__

    def absent(name, *arguments):
        if name in ("opencc", "cn2an", "pypinyin"):
            raise ImportError(name)
        return real(name, *arguments)

    scripts._converter.cache_clear()
    numbers._cn2an.cache_clear()
    monkeypatch.setattr(builtins, "__import__", absent)
    for call in (lambda: to_simplified("好"), lambda: spell_numbers("3"), lambda: tonal_syllables("好")):
        with pytest.raises(AsrError, match=r"needs? .*: pip install 'mandarin-asr\[text\]'$"):
            call()


@pytest.mark.parametrize(
    "text, said",
    [
        ("没有数字，十二点", "没有数字，十二点"),
        ("涨了25%", "涨了百分之二十五"),
        ("２５％", "百分之二十五"),
        ("2个苹果和22个梨", "两个苹果和二十二个梨"),
        ("第2名，2年级，2年", "第二名，二年级，两年"),
        ("有2000人、2,000万元、12000人", "有两千人、两千万元、一万二千人"),
        ("1-2个，2-3天，2万，2两", "一到两个，两到三天，两万，二两"),
        ("2点30分，2:05，12:30", "两点三十分，两点零五分，十二点三十分"),
        ("2.5和-5度", "二点五和负五度"),
        ("2024年5月3日", "二零二四年五月三日"),
        ("两〇幺", "两〇幺"),
        ("½和①，二十五%", "二分之一和一，百分之二十五"),
        ("2½杯，１¼", "二又二分之一杯，一又四分之一"),
    ],
)
def test_numbers_as_they_are_said(text, said):
    """Unlike the spelling that is compared, it keeps what is written in characters, and knows 两."""
    assert read_aloud(text) == said
