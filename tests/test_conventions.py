"""How five toolkits count, each written down from what it does, and that `asr score` gives the same figures.

The table of asr/scoring/README.md is what is computed here.
"""

import re
import unicodedata

import jiwer
import pytest

from asr.cli.score import score
from asr.scoring.cer import char_errors
from tests.conftest import ROOT

LINES = [
    ("今天天气很好", "今天天汽很好"),
    ("我用 iPhone 打电话", "我用 iphone 打电话"),
    ("他说 hello world", "他说 hello word"),
    ("请发 e-mail 给我", "请发 email 给我"),
    ("圆周率是3.14", "圆周率是314"),
    ("涨了30%", "涨了百分之三十"),
    ("气温零下5度，有风。", "气温零下5度有风"),
    ("I don't know 啊", "I dont know 啊"),
    ("他们發現了", "他们发现了"),
    ("家里 wifi 很快", "家里 wi fi 很快"),
]


def kaldi(text: str) -> list[str]:
    """score_kaldi_cer.sh in AISHELL's recipe: words are taken apart into characters, as they are written."""
    return [character for word in text.split() for character in word]


def wenet(text: str) -> list[str]:
    """compute-wer.py --char=1: runs of ASCII are a unit each, other characters too; some punctuation is skipped."""
    units = [unit.lstrip("!,?") for unit in re.findall(r"[!-~]+|\S", text)]
    return [unit.upper() for unit in units if unit and unit not in "、。！，；？：「」︰『』《》"]


def espnet(text: str) -> list[str]:
    """Characters, a space being one of them, for sclite, which looks at no case."""
    return ["<space>" if character == " " else character for character in text.lower()]


def funasr(text: str) -> list[str]:
    """postprocess_text_zh.py: characters in small letters, without spaces and <unk>."""
    return list(text.replace("<unk>", "").replace(" ", "").lower())


def whisper(text: str) -> list[str]:
    """The normaliser for other languages than English, and spaces around each character, which is a word then."""
    text = re.sub(r"<[^>]*>|\[[^\]]*\]|\([^)]+\)", "", text.lower())
    return [c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c)[0] not in "MSPZ"]


CONVENTIONS = {
    "Kaldi, AISHELL": (kaldi, {"rules": "spaces"}),
    "WeNet": (wenet, {"unit": "mixed"}),
    "ESPnet": (espnet, {"rules": "case"}),
    "FunASR": (funasr, {"rules": "tags,case,spaces"}),
    "Whisper": (whisper, {"rules": "+tags,+number_signs"}),
}
"""Toolkit → its units of a text, and what to say to `asr score`."""
OURS = {"asr": {}}


def errors_of(reference: list[str], hypothesis: list[str]) -> tuple[int, int]:
    """(errors, units of the reference), by jiwer: each unit is a word."""
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    return found.substitutions + found.deletions + found.insertions, len(reference)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_asr_score_counts_as_the_toolkit_does(name):
    units, settings = CONVENTIONS[name]
    for reference, hypothesis in LINES:
        ours = char_errors(reference, hypothesis, **settings)
        assert (ours.total, ours.reference) == errors_of(units(reference), units(hypothesis)), reference


def options(settings: dict[str, str]) -> str:
    return " ".join(f"--{name} {value}" for name, value in settings.items())


def expected() -> str:
    """The table of the page."""
    settings = {name: settings for name, (_, settings) in CONVENTIONS.items()} | OURS
    rows = [["reference", "recognised", *settings], ["---"] * (2 + len(settings))]
    sums = {name: [0, 0] for name in settings}
    for reference, hypothesis in LINES:
        row = [reference, hypothesis]
        for name, given in settings.items():
            found = char_errors(reference, hypothesis, **given)
            sums[name] = [sums[name][0] + found.total, sums[name][1] + found.reference]
            row.append(f"{found.total} / {found.reference}")
        rows.append(row)
    rows.append(["**all ten**", "", *(f"**{100 * errors / n:.2f} %** ({errors} / {n})" for errors, n in sums.values())])
    rows.append(
        ["`asr score ref hyp` and", "", *(f"`{options(given)}`" if given else "" for given in settings.values())]
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def test_the_page_shows_what_is_computed():
    page = (ROOT / "asr/scoring/README.md").read_text(encoding="utf-8")
    assert expected() in page, f"the table must be:\n{expected()}"


def test_the_help_says_how_to_get_each():
    told = " ".join(score.__doc__.split())
    assert all(f"({options(settings)})" in told for _, settings in CONVENTIONS.values())
