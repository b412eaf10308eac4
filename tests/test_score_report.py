"""The report page: complete in itself, and working in a real browser."""

import json
import random
import re

import pytest

from asr.scoring.compare import Comparison
from asr.scoring.report import write_report
from asr.scoring.results import DETAILS, summary
from asr.scoring.score import score_files
from tests.browsers import chromium, complaints, css, wait
from tests.conftest import ROOT
from tests.miniatures import write

TEXTS = ["今天天气很好", "我们去公园", "HELLO世界", "他在银行工作", "好", "买东西的人很多", "", "再见"]
GUESSES = ["今天天汽很好", "我们去公园了", "HALLO世界", "她在银行", "好", "卖东西的人很多", "啊", "再见"]


def manifest_line(n: int, text: str, speaker: str) -> str:
    audio = {"audio": f"wav/{n} ü.flac", "duration": 2.5} | ({"start": 1.5} if n == 1 else {})
    return json.dumps({"id": f"u{n}", "text": text, "speaker": speaker, **audio}, ensure_ascii=False)


@pytest.fixture
def manifest(tmp_path):
    return write(tmp_path / "ref.jsonl", *(manifest_line(n, text, "AB"[n % 2]) for n, text in enumerate(TEXTS)))


@pytest.fixture
def hypotheses(tmp_path):
    return write(tmp_path / "hyp.txt", *(f"u{n} {text}" for n, text in enumerate(GUESSES)))


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def opened(browser, run, tmp_path, manifest, hypotheses):
    """Writes the page for these arguments, opens it, and fails afterwards if the console holds an error."""

    def opened(*arguments):
        assert run("score", manifest, hypotheses, *arguments, "--html", tmp_path / "out" / "report.html")[0] == 0
        browser.get((tmp_path / "out" / "report.html").as_uri())
        return browser

    yield opened
    assert complaints(browser) == []


def shown(browser) -> list[str]:
    """Ids in the list, read at one go: it is drawn anew with every key."""
    return browser.execute_script("return [...document.querySelectorAll('#utterances .id')].map((n) => n.textContent)")


def column(table, place: int) -> list[str]:
    return [cell.text for cell in css(table, f"tbody td:nth-child({place})")]


def test_the_summary(opened):
    browser = opened()
    assert browser.title == "CER 23.53 %"
    cards = {card.text.split("\n")[0]: card.text.split("\n")[1] for card in css(browser, ".card")}
    assert cards == {
        **{"CER": "23.53 %", "Sentences with an error": "75.00 %", "Substitutions": "4"},
        **{"Deletions": "2", "Insertions": "2", "Tonal syllables": "17.65 %"},
    }
    assert "Normalised by forms, width, case, punctuation, word_signs, spaces." in css(browser, "#notes")[0].text
    assert [svg.get_attribute("aria-label") for svg in css(browser, "svg")] == [
        "CER in % by length of the reference",
        "Utterances by their CER",
        "Deletions by place",
    ]


def test_tables_sort(opened):
    browser = opened()
    speakers, lengths, errors = css(browser, ".table")
    assert column(speakers, 1) == ["A", "B"] and column(lengths, 1) == ["0", "1–5", "6–10"]
    head = css(lengths, "th button")[2]  # N: the largest first, then the smallest
    head.click()
    assert column(lengths, 3) == ["26", "8", "0"]
    assert css(lengths, "th")[2].get_attribute("aria-sort") == "descending"
    head.click()
    assert column(lengths, 3) == ["0", "8", "26"]
    css(speakers, "th button")[0].click()
    css(speakers, "th button")[0].click()
    assert column(speakers, 1) == ["B", "A"]
    assert ["气", "汽", "1", "1", "0", "0"] in [[c.text for c in css(row, "td")] for row in css(errors, "tbody tr")]


def test_filters(opened):
    from selenium.webdriver.support.ui import Select

    browser = opened()
    count = css(browser, "#count")[0]
    assert count.text == "8 of 8" and shown(browser)[0] == "u3"  # the most errors
    search = css(browser, "#search")[0]
    search.send_keys("公园")
    assert wait(lambda: shown(browser) == ["u1"] and count.text == "1 of 8")
    search.clear()
    search.send_keys("我们，去 公园。")  # as it stands in a book
    assert wait(lambda: shown(browser) == ["u1"])
    search.clear()
    search.send_keys("hallo")
    assert wait(lambda: shown(browser) == ["u2"])
    css(browser, "button[type=reset]")[0].click()
    assert wait(lambda: len(shown(browser)) == 8)
    css(browser, "#has-i")[0].click()
    assert wait(lambda: sorted(shown(browser)) == ["u1", "u6"])
    Select(css(browser, "#speaker")[0]).select_by_visible_text("A")
    assert wait(lambda: shown(browser) == ["u6"])
    css(browser, "button[type=reset]")[0].click()
    assert wait(lambda: len(shown(browser)) == 8)
    Select(css(browser, "#order")[0]).select_by_visible_text("as in the file")
    assert wait(lambda: shown(browser) == [f"u{n}" for n in range(8)])
    css(browser, ".table tbody tr.link")[1].click()  # speaker B
    assert wait(lambda: sorted(shown(browser)) == ["u1", "u3", "u5", "u7"])
    row = next(row for row in css(browser, ".table tbody tr.link") if row.text.startswith("买 卖"))
    row.click()
    assert wait(lambda: shown(browser) == ["u5"]) and count.text == "1 of 8, with 买 → 卖"


def test_utterances_are_aligned(opened):
    browser = opened()
    css(browser, "#search")[0].send_keys("u3")
    columns = css(browser, ".aligned > span")
    assert [c.get_attribute("class") for c in columns] == ["s", "", "", "", "d", "d"]
    assert columns[0].text.split() == ["他", "她"]
    tops = {span.rect["y"] for c in columns for span in css(c, "span:first-child")}
    assert len(tops) == 1  # one line, and one column for each pair: gaps are as wide as characters
    assert all(abs(c.rect["width"] - columns[1].rect["width"]) < 1.5 for c in columns)


def test_audio_is_linked(opened, tmp_path):
    browser = opened()
    css(browser, "#search")[0].send_keys("u1")
    link = css(browser, "#utterances a")[0].get_attribute("href")
    assert link == (tmp_path / "wav" / "1 ü.flac").as_uri() + "#t=1.5,4"


def test_two_systems_side_by_side(opened, tmp_path):
    other = write(tmp_path / "b.txt", *(f"u{n} {text}" for n, text in enumerate(GUESSES[:-2] + ["", "再"])))
    browser = opened(other)
    assert browser.title == "CER A 23.53 %, B 23.53 %"
    assert [c.text for c in css(css(browser, ".table")[0], "thead th")] == [
        "speaker",
        "utterances",
        "N",
        "CER % A",
        "CER % B",
    ]
    css(browser, "#search")[0].send_keys("u7")
    assert [node.text.split()[0] for node in css(browser, ".aligned")] == ["A", "B"]


def test_words_in_mixed_units(opened):
    browser = opened("--unit", "mixed")
    assert browser.title.startswith("MER ")
    css(browser, "#search")[0].send_keys("u2")
    assert [c.text.split() for c in css(browser, ".aligned > span")] == [["HELLO", "HALLO"], ["世", "世"], ["界", "界"]]


def test_texts_are_never_markup(opened, tmp_path):
    """Whatever stands in the files is shown as it is."""
    nasty = "</script><script>document.title='taken'</script><b>/*SCRIPT*/&amp;"
    write(tmp_path / "ref.jsonl", json.dumps({"id": f"u0{nasty}", "text": nasty, "speaker": nasty}))
    write(tmp_path / "hyp.txt", json.dumps({"id": f"u0{nasty}", "text": nasty + "x"}))
    browser = opened("--rules", "none")
    assert browser.title.startswith("CER ") and shown(browser) == [f"u0{nasty}"]


def test_the_page_needs_nothing_else(run, tmp_path, manifest, hypotheses):
    assert run("score", manifest, hypotheses, "--html", tmp_path / "report.html")[0] == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"' ]+", page) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script[^>]+src=|<link[^>]+stylesheet|@import|url\(", page)


def test_without_pypinyin_the_page_says_so(monkeypatch, tmp_path, manifest, hypotheses):
    monkeypatch.setattr("asr.scoring.breakdown.readings_available", lambda: False)
    score = score_files(manifest, hypotheses)
    write_report(tmp_path / "r.html", [score], reference=manifest)
    assert '"syllables":null' in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_page_for_the_size_of_aishell_s_test_set(run, browser, tmp_path):
    source = random.Random(0)
    common = [chr(code) for code in range(0x4E00, 0x5600)]
    texts = ["".join(source.choices(common, k=source.randint(5, 25))) for _ in range(7176)]
    guesses = ["".join(c if source.random() > 0.06 else source.choice(common) for c in text) for text in texts]
    lines = [manifest_line(n, text, f"S{n % 20}") for n, text in enumerate(texts)]
    reference = write(tmp_path / "ref.jsonl", *lines)
    hypothesis = write(tmp_path / "hyp.txt", *(f"u{n} {text}" for n, text in enumerate(guesses)))
    assert run("score", reference, hypothesis, "--html", tmp_path / "report.html")[0] == 0
    assert (tmp_path / "report.html").stat().st_size < 30e6
    browser.get((tmp_path / "report.html").as_uri())
    assert css(browser, "#count")[0].text == "7,176 of 7,176" and len(shown(browser)) == 50
    css(browser, "#more")[0].click()
    assert len(shown(browser)) == 100


def test_every_field_of_the_json_is_described(tmp_path):
    texts = {"ref": "今天", "a": "今年", "b": "今天"}
    for name, text in texts.items():
        (tmp_path / name).write_text("".join(f"u{n} {text}\n" for n in range(12)), encoding="utf-8")
    scores = [score_files(tmp_path / "ref", tmp_path / name) for name in "ab"]
    described = set(re.findall(r"`(\w+)`", (ROOT / "asr/scoring/README.md").read_text(encoding="utf-8")))
    data = summary(scores, Comparison(*scores))
    fields = {*data, *data["systems"][0], *data["systems"][0]["interval"], *data["comparison"], *DETAILS}
    assert fields <= described, fields - described
