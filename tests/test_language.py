"""Messages in Chinese where the locale is Chinese, in English everywhere else; the catalogue fits the code."""

import ast
import json
import re

import pytest
import typer.main

from asr.cli import app
from asr.cli.helping import HEADINGS, wrapped
from asr.language import VARIABLES, Templates, language, preferred, split, templates, translated
from asr.printable import columns
from tests.conftest import ROOT
from tests.messages import HELP, MO, as_mo, commands, read_catalogue, said, shape, texts_of, updated

HAN = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def chinese(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGUAGE", "")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_TW"}, "zh_CN"),
        ({"LANG": "zh"}, "zh_CN"),
        ({"LANG": "zha_CN"}, "en"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_CN.GBK", "LANG": "en_US"}, "zh_CN"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8", "LANGUAGE": "zh_CN"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "zh_CN"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en:zh_CN"}, "en"),
        ({"LANG": "de_DE", "LANGUAGE": "zh_TW:en"}, "zh_CN"),
        ({"LANGUAGE": "zh_CN"}, "zh_CN"),
    ],
)
def test_the_environment_names_the_language(environment, expected):
    assert language(environment) == expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh_CN"),
        ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("en;q=0.4, zh-TW ;q=0.7", "zh_CN"),
        ("de, fr;q=0.9, zh;q=0.1", "zh_CN"),
        ("de", "en"),
        ("zh;q=0", "en"),
        ("zh;q=x, en;q=0.1", "en"),
        ("ZH-hans", "zh_CN"),
        ("zha", "en"),
        (",;=, ;q", "en"),
        ("zh;q=0.124, en;q=0.123", "zh_CN"),
        ("en;q=0.5;x=1, zh;x=1;q=0.6", "zh_CN"),  # what other parameters say changes nothing
        ("EN ; Q = 0.5\t,\tZH\t;\tQ=1.000", "zh_CN"),
        ("en;q=1., zh;q=0.", "en"),
        ("zh;q=1.5, en;q=0.1", "en"),  # no weights: as if the entry was not there
        ("zh;q=-1, en;q=0.1", "en"),
        ("zh;q=0.1234, en;q=0.1", "en"),
        ("zh;q=1.001, en;q=0.1", "en"),
        ("zh;q=nan, en;q=0.1", "en"),
        ("zh;q=, en;q=0.1", "en"),
        ("zh;q, en;q=0.1", "en"),
        ("zh, en", "zh_CN"),
        ("en, zh", "en"),
        ("zh-TW;q=0.2, en;q=0.3, zh;q=0.4", "zh_CN"),
        ("en;q=0", "zh_CN"),  # whoever refuses English alone gets the other
        ("en;q=0, zh;q=0", "en"),
        ("*;q=0", "en"),
    ],
)
def test_a_client_names_the_languages_it_likes(accepted, expected):
    assert preferred(accepted) == expected


def test_a_client_that_names_none_gets_the_servers(chinese, monkeypatch):
    assert [preferred(accepted) for accepted in ("", " ", "*", "de, *;q=0.1", "en, *", "de")] == [
        *["zh_CN"] * 4,
        "en",
        "en",
    ]
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert [preferred(accepted) for accepted in ("", "*", "zh, *")] == ["en", "en", "zh_CN"]


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("*, zh;q=0", "en"),
        ("zh;q=0, *;q=0.5", "en"),
        ("en;q=0, *", "zh_CN"),
        ("zh;q=0.2, *;q=0.9", "en"),  # `*` is all the others
        ("en;q=0.2, *;q=0.9", "zh_CN"),
        ("zh;q=0, en;q=0, *", "en"),
        ("*;q=0, zh;q=0.1", "zh_CN"),
        ("*;q=0, en;q=0.1", "en"),
    ],
)
@pytest.mark.parametrize("own", ["zh_CN.UTF-8", "en_US.UTF-8"])
def test_any_language_is_none_that_is_named_beside_it(chinese, monkeypatch, own, accepted, expected):
    monkeypatch.setenv("LANG", own)
    assert preferred(accepted) == expected


def test_every_translated_message_is_said_somewhere():
    """After a change of messages: `make messages`."""
    shapes = {shape(template) for template in said()}
    stale = [
        message.id for message in read_catalogue() if message.id and message.string and shape(message.id) not in shapes
    ]
    assert not stale, "run `make messages`, and translate what is new: " + "; ".join(stale)


def test_fields_agree():
    for message in read_catalogue():
        if message.id and message.string:
            assert sorted(split(message.id)[1]) == sorted(split(message.string)[1]), message.id
            assert message.string != message.id


def test_the_compiled_catalogue_is_what_the_text_compiles_to():
    assert MO.read_bytes() == as_mo(read_catalogue())


def test_most_of_what_is_said_is_translated():
    """What is new appears in English until somebody translates it; it must not become much."""
    found = [message for message in updated(read_catalogue(), said()) if message.id]
    help = [m for m in found if any(p.startswith((HELP, "asr/cli/options.py")) for p, _ in m.locations)]
    for messages, least in ((help, 0.9), (found, 0.6)):
        lacking = [message.id for message in messages if not message.string]
        assert len(lacking) <= (1 - least) * len(messages), "; ".join(lacking)


def test_all_help_is_in_chinese(run, chinese):
    texts: list[str] = []
    for name, command in commands(typer.main.get_command(app)):
        status, out, _ = run(*name.split(), "--help")
        assert status == 0 and out.startswith(f"用法：asr {name}".rstrip())
        assert not re.search(r"\b(Options|Usage|Commands|Show this|default:)", out)
        assert all(columns(line) <= 80 for line in out.splitlines()), name
        texts += filter(None, (getattr(parameter, "help", None) for parameter in command.params))
    english = [text for text in texts if not HAN.search(translated(text))]
    assert len(texts) > 200 and len(english) < len(texts) / 10, english


def test_wrong_usage_in_chinese(run, chinese):
    for arguments, told in (
        (("transcribe", "a.wav", "--bogus"), "没有这个选项：--bogus"),
        (("nonsense",), "没有 'nonsense' 这个命令。"),
        (("score", "a.txt"), "缺少参数"),
        (("transcribe", "a.wav", "--format", "pdf"), "format 必须是 txt, json, srt"),
        (("transcribe", "a.wav", "b.wav", "-o", "a.srt"), "a.srt 是一个文件的名字，而录音有 2 段"),
        (("transcribe", "a.wav", "--beam", "x"), "'--beam' 的值无效"),
        (("transcribe", "--beam"), "错误：选项 '--beam' 需要一个值。"),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "") and told in err and "Error" not in err, err


def test_results_are_the_same_in_every_language(run, model, wav, monkeypatch, tmp_path):
    (tmp_path / "ref.txt").write_text("a 今天天气\nb 你好吗\n")
    (tmp_path / "hyp.txt").write_text("a 今天天汽\nc 你好\n")
    scored = ("score", tmp_path / "ref.txt", tmp_path / "hyp.txt")
    heard = ("transcribe", "--model", model, wav("a.wav", 0.1), "--format", "json")
    english = [run(*scored), run(*heard)]
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    chinese = [run(*scored), run(*heard)]
    assert [each[:2] for each in english] == [each[:2] for each in chinese]
    assert "hyp.txt: 1 of 2 ids are missing and count as deleted: b" in english[0][2]
    assert "hyp.txt：2 个 id 中缺少 1 个，按删除计算：b" in chinese[0][2]
    assert json.loads(chinese[1][1])["warnings"] == ["is too short to recognise: less than 0.2 s"]
    assert "a.wav：警告：太短，无法识别：不到 0.2 秒" in chinese[1][2]


def test_a_message_inside_of_another(chinese):
    assert translated("asr: a.wav: warning: no speech was found in it") == "asr: a.wav：警告：没有找到语音"
    assert translated("asr: --decode ctc_weight=1: changes nothing, the model has no CTC head") == (
        "asr: --decode ctc_weight=1：没有作用，模型没有 CTC 头"
    )
    assert translated("asr: calls: 1 file is left out, by their names no recordings: 1 .txt") == (
        "asr: calls：1 个文件按名字看不是录音，已跳过：1 .txt"
    )
    assert translated("asr: decode.bem: there is no such setting; did you mean beam? valid are beam, nbest") == (
        "asr: decode.bem：没有这项设置；是不是想写 beam？可用的有 beam, nbest"
    )
    assert translated("asr: a: no such file\n  b: no such file\n  …") == "asr: a：没有这个文件\n  b：没有这个文件\n  …"
    assert translated(
        "asr: a.wav: warning: damaged or truncated; could not be read past 3.2 s (psf_fseek() failed.)"
    ) == ("asr: a.wav：警告：损坏或被截断；3.2 秒之后无法读取（psf_fseek() failed.）")
    assert translated("asr: something new: nobody knows it") == "asr: something new: nobody knows it"


@pytest.mark.parametrize(
    ("english", "read"),
    [
        (
            "step 3  attention: diagonal 0.94, entropy 0.36, the wrong recording costs 4.35 nats; accuracy by position  1: 1.00",
            "第 3 步  注意力：对角线 0.94，熵 0.36，换一段录音代价 4.35 nat；各位置的正确率 1: 1.00",
        ),
        ("step 0, before the first step  dev CER 6.06 %", "第 0 步，训练开始之前  开发集 CER 6.06 %"),
        (
            "kept in exp: the average of steps 1, 2, 3, dev CER 3.03 %",
            "保留在 exp：多步平均，步数 1, 2, 3，开发集 CER 3.03 %",
        ),
        ("kept in exp: the model of step 4, dev CER 3.03 %", "保留在 exp：单步模型，步数 4，开发集 CER 3.03 %"),
        ("a.wav: not recognised as audio, or damaged (EOF)", "a.wav：不是可识别的音频，或已损坏 (EOF)"),
    ],
)
def test_what_a_run_says(chinese, english, read):
    """A number stays beside what is counted, whatever is said behind it."""
    assert translated(english) == read


def test_the_reading_that_explains_most_is_taken():
    known = Templates(
        {
            "{a} must be {b}, is {c}": "{a} 必须是 {b}：{c}",
            "x must be odd, is {n}": "x 必须是奇数：{n}",
            "a list": "列表",
        }
    )
    assert known.translate("x must be odd, is 4") == "x 必须是奇数：4"
    assert known.translate("y must be a list, is {3}") == "y 必须是 列表：{3}"
    assert known.translate("z must be") == "z must be"


def test_long_lists_take_no_time():
    text = "asr: " + ", ".join(f"name{i} (of {i}; that is: {i})" for i in range(200))
    assert templates().translate(text * 3).startswith("asr: name0")


def test_templates_of_a_module():
    code = """
'''a docstring of several words'''
def f(x, names):
    raise E(f"{x.path}: has {len(names):,} lines{'' if x else ' and more of them'}, {x!r}")
y: "Type | None" = "word"
names = "one two".split() + [re.compile("[ab] +")]
z = "two words with {braces}"
"""
    assert list(texts_of(ast.parse(code))) == [
        "{path}: has {names} lines{value}, {x}",
        " and more of them",
        "two words with {{braces}}",
    ]


def test_lines_are_parted_as_chinese_is_written():
    assert wrapped("读取影片的哪一条音轨，从 0 数起；默认为第一条能解码的。", 20) == [
        "读取影片的哪一条音",
        "轨，从 0 数起；默认",
        "为第一条能解码的。",
    ]
    assert wrapped("用 --format srt", 8) == ["用", "--format", "srt"]
    assert HEADINGS["Options"] == "选项" and (ROOT / "asr/locale").is_dir()
