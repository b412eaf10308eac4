"""The page at `/`, in a real browser: who speaks, asked for, shown, named and downloaded."""

from dataclasses import replace

import pytest

from tests.browsers import complaints, css, wait
from tests.serving import running
from tests.web_pages import SAID, SLOW, FakeTranscriber, browser, downloaded, focused, js, press, recording, tab_to

pytest.importorskip("starlette")
FIXTURES = (browser, recording)


class Two(FakeTranscriber):
    """Tells two people apart where it is asked to, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def open(self, path, name, speakers=None):
        self.asked.append(speakers and (speakers.fewest, speakers.most))
        return super().open(path, name)

    def transcript(self, recording):
        found = super().transcript(recording)
        if self.asked[-1] is None:
            return found
        who = zip(found.segments, ("S1", "S2"), strict=False)
        return replace(
            found,
            segments=tuple(
                replace(segment, tokens=tuple(replace(token, speaker=name) for token in segment.tokens))
                for segment, name in who
            ),
        )


@pytest.fixture
def able(monkeypatch):
    monkeypatch.setattr("asr.serving.application.speakers_installed", lambda: True)


@pytest.fixture
def page(browser, able):
    """The page, and what the server was asked of speakers."""
    heard = Two()
    with running(transcriber=heard) as (port, _):
        browser.get(f"http://127.0.0.1:{port}/")
        browser.execute_script("localStorage.clear(); sessionStorage.clear()")
        browser.get(f"http://127.0.0.1:{port}/")
        assert wait(lambda: css(browser, "#model")[0].text == "model nobody", SLOW)
        complaints(browser)
        yield browser, heard.asked
        assert complaints(browser) == []
        for remove in css(browser, "#jobs .row > button:last-child"):
            remove.click()


def give(browser, recording) -> None:
    css(browser, "#files")[0].send_keys(str(recording))


def choose(browser, option: str) -> None:
    css(browser, f"#people option[value='{option}']")[0].click()


def is_read(browser) -> bool:
    return len(css(browser, ".token")) == 11


def test_who_speaks_is_shown_named_and_downloaded(page, recording):
    browser, asked = page
    choose(browser, "auto")
    give(browser, recording)
    assert wait(lambda: is_read(browser), SLOW) and asked == [(1, 0)]
    assert [node.text for node in css(browser, ".line .who")] == ["S1", "S2"]
    names = css(browser, "#names input")
    assert [node.get_attribute("aria-label") for node in names] == ["Name of S1", "Name of S2"]
    names[1].send_keys("王芳")
    assert [node.text for node in css(browser, ".line .who")] == ["S1", "王芳"]
    found = {}
    for button in css(browser, "[data-format]"):
        button.click()
        found[button.text] = downloaded(browser, f"会议 1.{button.text}")
    assert found["txt"] == "S1: 今天天气，HELLO WORLD。\n王芳: 明天23.5%下雨。\n"
    assert "S1: 今天天气" in found["srt"] and "王芳: 明天" in found["srt"]
    assert "王芳" in found["vtt"] and '"speaker": "王芳"' in found["json"].replace('":"', '": "')
    assert "王芳" in found["TextGrid"]
    written = js(browser, "import('/page/reader.js').then(({ opened }) => opened().transcript.written)")
    assert written == "S1: 今天天气，HELLO WORLD。\n王芳: 明天23.5%下雨。"


def test_an_edited_line_keeps_who_says_it_and_two_of_one_name_are_one(page, recording):
    from selenium.webdriver.common.keys import Keys

    browser, _ = page
    choose(browser, "auto")
    give(browser, recording)
    assert wait(lambda: is_read(browser), SLOW)
    js(browser, "document.querySelectorAll('.line .edit')[1].click()")
    field = css(browser, ".line textarea")[0]
    field.send_keys(Keys.CONTROL + "a" + Keys.NULL + Keys.BACKSPACE + "明天下雪" + Keys.ENTER)
    assert [node.text for node in css(browser, ".line .who")] == ["S1", "S2"]
    for field in css(browser, "#names input"):
        field.send_keys("甲")
    written = js(browser, "import('/page/reader.js').then(({ opened }) => opened().transcript.written)")
    assert written == "甲: 今天天气，HELLO WORLD。明天下雪"


def test_how_many_people_there_are_by_the_keyboard_alone(page, recording):
    from selenium.webdriver.common.keys import Keys

    browser, asked = page
    assert not css(browser, "#how-many")[0].is_displayed()
    tab_to(browser, "#people")
    press(browser, *[Keys.ARROW_DOWN] * 2)
    assert wait(lambda: focused(browser).get_attribute("id") == "people-number", SLOW)
    press(browser, Keys.CONTROL + "a" + Keys.NULL, "2-x")
    give(browser, recording)
    assert wait(lambda: css(browser, ".failed"), SLOW) and asked == []
    assert css(browser, ".failed output")[0].text == "How many people speak must be a number, or a range such as 2-5."
    field = css(browser, "#people-number")[0]
    field.clear()
    field.send_keys("２–5")
    css(browser, ".failed button:not(.title)")[0].click()
    assert wait(lambda: is_read(browser), SLOW) and asked == [(2, 5)]


def test_nobody_is_told_apart_unless_that_is_asked(page, recording):
    browser, asked = page
    give(browser, recording)
    assert wait(lambda: is_read(browser), SLOW) and asked == [None]
    assert css(browser, ".who") == [] and not css(browser, "#names")[0].is_displayed()
    written = js(browser, "import('/page/reader.js').then(({ opened }) => opened().transcript.written)")
    assert written == "今天天气，HELLO WORLD。明天23.5%下雨。" and len(SAID) == 2


def test_a_server_that_cannot_tell_voices_apart_says_so(browser, monkeypatch):
    monkeypatch.setattr("asr.serving.application.speakers_installed", lambda: False)
    with running(transcriber=Two()) as (port, _):
        browser.get(f"http://127.0.0.1:{port}/")
        note = css(browser, "#people-missing")[0]
        assert wait(note.is_displayed, SLOW) and not css(browser, "#people")[0].is_enabled()
        assert "“speakers” is not installed there" in note.text
