"""The server's page in a browser, with a server that hears the same in whatever it is given."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from asr.transcript import Segment, Transcript, TranscriptToken
from tests.browsers import chromium, complaints, css, wait
from tests.serving import Nobody, running
from tests.sounds import speech

SLOW = 60.0
"""Seconds for the slowest of machines."""


def segment(start: float, *units: tuple[str, str, float]) -> Segment:
    """Text, mark and confidence of each token, a quarter of a second each, without a gap."""
    tokens = tuple(
        TranscriptToken(text, start + i / 4, start + (i + 1) / 4, confidence, (i, i), mark)
        for i, (text, mark, confidence) in enumerate(units)
    )
    return Segment(start - 0.1, tokens[-1].end + 0.1, tokens, "".join(t.text for t in tokens), -0.1)


SAID = (
    segment(0.5, *((c, "", 0.9) for c in "今天天"), ("气", "，", 0.3), ("HELLO", "", 0.9), ("WORLD", "。", 0.9)),
    segment(2.5, *((c, "", 0.95) for c in "明天"), ("23.5%", "", 0.9), ("下", "", 0.2), ("雨", "。", 0.9)),
)
TEXT = "今天天气，HELLO WORLD。明天23.5%下雨。"


class FakeTranscriber(Nobody):
    """Whatever it is given, it hears SAID, one segment after the other."""

    said = 0

    def open(self, path, name):
        duration = soundfile.info(path).duration
        return SimpleNamespace(duration=duration, error=None, name=name)

    def stream(self, recordings, cancelled, together):
        for self.said in (1, 2):
            yield recordings[0], SAID[self.said - 1]

    def transcript(self, recording):
        return Transcript(recording.name, recording.duration, SAID[: self.said], "nobody", ("it clips",))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium("lang=en-US", "autoplay-policy=no-user-gesture-required") as driver:
        folder = str(tmp_path_factory.mktemp("downloads"))
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": folder})
        driver.downloads = folder
        yield driver


@pytest.fixture(scope="module")
def port():
    with pytest.MonkeyPatch.context() as patched, running(transcriber=FakeTranscriber()) as (port, _):
        patched.setattr("asr.serving.application.speakers_installed", lambda: True)
        yield port


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "会议 1.wav"
    soundfile.write(path, speech(5.0), 16000)
    return path


@pytest.fixture
def opened(browser, port):
    """The page, anew; afterwards the console must hold no error."""
    browser.get(f"http://127.0.0.1:{port}/")
    browser.execute_script("localStorage.clear(); sessionStorage.clear(); onbeforeunload = null")
    browser.get(f"http://127.0.0.1:{port}/")
    assert wait(lambda: css(browser, "#model")[0].text == "model nobody", SLOW)
    complaints(browser)
    yield browser
    assert complaints(browser) == []


@pytest.fixture
def read(opened, recording):
    """The page with a text that is open."""
    css(opened, "#files")[0].send_keys(str(recording))
    assert wait(lambda: len(css(opened, ".token")) == 11, SLOW)
    yield opened
    for remove in css(opened, "#jobs .row > button:last-child"):
        remove.click()  # or it would ask whether edits may be lost


def downloaded(browser, name: str) -> str:
    """The text of a file that was saved. Its name is taken first, by an empty file; what was written is renamed to it."""
    path = Path(browser.downloads, name)
    assert wait(lambda: path.exists() and path.stat().st_size, SLOW), name
    return path.read_text(encoding="utf-8")


def js(browser, script: str, *arguments):
    return browser.execute_script(f"return {script}", *arguments)


def in_text(browser) -> str:
    return js(browser, "[...document.querySelectorAll('.line-text')].map((node) => node.textContent).join('|')")


def where(browser) -> float:
    return js(browser, "document.getElementById('audio').currentTime")


def press(browser, *keys: str):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def focused(browser):
    return browser.switch_to.active_element


def tab_to(browser, selector: str):
    """Presses Tab until what is wanted has the focus: every one of these is reached by the keyboard alone."""
    from selenium.webdriver.common.keys import Keys

    for _ in range(60):
        press(browser, Keys.TAB)
        if js(browser, "document.activeElement.matches(arguments[0])", selector):
            return focused(browser)
    raise AssertionError(f"Tab never leads to {selector}")
