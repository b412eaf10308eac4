"""The page at `/`, in a real browser: recordings to texts that are read, edited and saved."""

import json

import pytest

from tests.browsers import css, wait
from tests.web_pages import (
    SLOW,
    browser,
    downloaded,
    focused,
    in_text,
    js,
    opened,
    port,
    press,
    read,
    recording,
    tab_to,
    where,
)

pytest.importorskip("starlette")
FIXTURES = (browser, port, opened, read, recording)


def test_a_recording_becomes_a_text(read):
    assert in_text(read) == "今天天气，HELLO WORLD。|明天23.5%下雨。"
    assert [node.text for node in css(read, ".from")] == ["0:00", "0:02"]
    assert [node.text for node in css(read, ".unsure")] == ["气", "下"]
    assert css(read, "#jobs output")[0].text == "21 characters"
    assert [node.text for node in css(read, "#warnings li")] == ["it clips"]
    assert css(read, "#length")[0].text == "0:05" and css(read, "#next-unsure")[0].text == "Next unsure place (2)"


def test_a_click_on_a_character_leads_there(read):
    for place in (4, 8, 0, 10):
        css(read, ".token")[place].click()
        start = js(read, "document.querySelectorAll('.token')[arguments[0]].token.start", place)
        assert wait(lambda at=start: abs(where(read) - at) < 0.15, SLOW)
        assert [node.text for node in css(read, ".spoken")] == [css(read, ".token")[place].text]
    css(read, ".from")[1].click()
    assert wait(lambda: abs(where(read) - 2.5) < 0.15, SLOW)


def test_what_is_said_stands_out_while_it_plays(read):
    js(
        read,
        """(() => {
        window.seen = [];
        new MutationObserver(() => {
          const node = document.querySelector(".spoken");
          if (node) window.seen.push([node.token.start, document.getElementById("audio").currentTime]);
        }).observe(document.getElementById("lines"), { subtree: true, attributeFilter: ["class"] });
    })()""",
    )
    css(read, "#play")[0].click()
    assert css(read, "#play")[0].get_attribute("aria-label") == "Pause"
    assert wait(lambda: js(read, "document.getElementById('audio').ended"), SLOW)
    seen = js(read, "window.seen")
    assert len(seen) > 3 and all(start <= at + 0.15 for start, at in seen)
    assert seen == sorted(seen)
    assert css(read, "#play")[0].get_attribute("aria-label") == "Play"


def edit(browser, line: int, text: str):
    from selenium.webdriver.common.keys import Keys

    js(browser, "document.querySelectorAll('.line .edit')[arguments[0]].click()", line)
    field = css(browser, ".line textarea")[0]
    field.send_keys(Keys.CONTROL + "a" + Keys.NULL + Keys.BACKSPACE + text + Keys.ENTER)


def test_an_edited_line_keeps_the_times_of_what_stays(read):
    from selenium.webdriver.common.keys import Keys

    edit(read, 1, "明天 23.5% 会下雪!")
    assert in_text(read).split("|")[1] == "明天23.5%会下雪!"
    tokens = js(read, "[...document.querySelectorAll('.line:nth-child(2) .token')].map((n) => n.token)")
    spans = [(token["text"], token["start"], token["end"]) for token in tokens]
    assert spans == [
        *(("明", 2.5, 2.75), ("天", 2.75, 3.0), ("23.5%", 3.0, 3.125), ("会", 3.125, 3.25)),
        *(("下", 3.25, 3.5), ("雪", 3.5, 3.75)),
    ]
    assert [round(token["confidence"], 2) for token in tokens] == [0.95, 0.95, 0.9, 1, 0.2, 1]
    assert css(read, "#jobs output")[0].text == "22 characters, edited"
    edit(read, 0, "")
    assert in_text(read).split("|")[0] == "(empty)"
    edit(read, 0, "新的 text。")
    assert in_text(read).split("|")[0] == "新的text。"
    css(read, "#undo")[0].click()
    css(read, "#undo")[0].click()
    focused(read).send_keys(Keys.CONTROL + "z")
    assert in_text(read) == "今天天气，HELLO WORLD。|明天23.5%下雨。"
    assert css(read, "#jobs output")[0].text == "21 characters"


def test_edits_are_in_what_is_downloaded(read):
    edit(read, 0, "今天天汽，你好")
    found = {}
    for button in css(read, "[data-format]"):
        button.click()
        found[button.text] = downloaded(read, f"会议 1.{button.text}")
    assert found["txt"] == "今天天汽，你好明天23.5%下雨。\n"
    assert "今天天汽，你好" in found["srt"] and "00:00:00,500 --> " in found["srt"]
    assert found["vtt"].startswith("WEBVTT\n") and "今天天汽，你好" in found["vtt"]
    assert 'text = "汽，"' in found["TextGrid"]
    whole = json.loads(found["json"])
    assert whole["text"] == "今天天汽，你好明天23.5%下雨。" and whole["warnings"] == ["the text was edited by hand"]
    assert whole["words"][3] == {"word": "汽", "start": 1.25, "end": 1.5}


def test_the_keyboard_alone_suffices(read):
    from selenium.webdriver.common.keys import Keys

    browser = read
    tab_to(browser, ".token")
    press(browser, *[Keys.ARROW_RIGHT] * 4, Keys.ENTER)
    assert focused(browser).text == "HELLO" and wait(lambda: abs(where(browser) - 1.5) < 0.15, SLOW)
    assert focused(browser).get_attribute("aria-label") == "HELLO 0:01"
    press(browser, Keys.SPACE)
    assert wait(lambda: where(browser) > 1.7, SLOW)
    press(browser, Keys.SPACE)
    assert js(browser, "document.getElementById('audio').paused")
    press(browser, "n")
    assert focused(browser).text == "下"
    assert focused(browser).get_attribute("aria-label") == "下 0:03, 下: 20 % sure"
    press(browser, Keys.ARROW_UP, Keys.HOME)
    assert focused(browser).text == "今"
    press(browser, Keys.ARROW_DOWN, Keys.END)
    assert focused(browser).text == "雨"
    press(browser, "e", Keys.END, Keys.BACKSPACE, "吗？", Keys.ENTER)
    assert in_text(browser).endswith("下雨吗？") and js(browser, "document.activeElement.matches('.token')")
    press(browser, "e", "xyz", Keys.ESCAPE)
    assert in_text(browser).endswith("明天23.5%下雨吗？")
    for selector in (
        "#play",
        "#seek",
        "#speed",
        "#undo",
        "#copy",
        "[data-format=srt]",
        "#compare > summary",
        "#language",
    ):
        tab_to(browser, selector)
    tab_to(browser, "[role=tab]")
    press(browser, Keys.ARROW_RIGHT)
    assert css(browser, "#live")[0].is_displayed() and not css(browser, "#recordings")[0].is_displayed()
    for selector in ("#listen", "#size", "#fill", "#live-words"):
        tab_to(browser, selector)
    tab_to(browser, "[role=tab]")
    press(browser, Keys.ARROW_RIGHT)
    assert css(browser, "#inspect")[0].is_displayed()
    tab_to(browser, "#clip")
    tab_to(browser, "[role=tab]")
    press(browser, Keys.HOME)


def test_the_share_of_errors(read):
    css(read, "#compare > summary")[0].click()
    css(read, "#reference")[0].send_keys("今天天气 hello word，明天23.5%下雪了")
    css(read, "#score")[0].click()
    assert wait(lambda: css(read, ".rate"), SLOW)
    assert css(read, ".rate")[0].text == "CER 13.04 % 1 wrong, 1 missing, 1 too much, of 23 characters"
    assert [node.get_attribute("aria-label") for node in css(read, ".pair")] == [
        "too much: L",
        "wrong: 雪 became 雨",
        "missing: 了",
    ]
    edit(read, 1, "明天23.5%下雪了")
    css(read, "#score")[0].click()
    assert wait(lambda: len(css(read, ".rate")) == 2, SLOW)
    assert [node.text.partition(" % ")[0] for node in css(read, ".rate")] == ["CER 13.04", "CER 4.35"]
    assert [node.text.rpartition(" · ")[2] for node in css(read, ".rate")] == ["as recognised", "as edited"]
