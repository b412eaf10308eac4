"""The microphone of the page, with a recording in its place: captions while it is said, and recordings of its own."""

import numpy as np
import pytest
import soundfile
import soxr

import asr
from asr.scoring.cer import char_errors
from asr.serving.settings import ServerSettings
from tests.browsers import chromium, complaints, css, wait
from tests.conftest import ROOT
from tests.serving import running
from tests.sounds import noise, silence

pytest.importorskip("starlette")
pytestmark = pytest.mark.slow
SLOW = 500.0
"""Seconds for the slowest of machines: the recording begins again and again meanwhile."""
SPOKEN = soundfile.read(ROOT / "data/sample/weather.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def transcriber():
    return asr.load("embedded", "cpu", beam=2)


@pytest.fixture(scope="module")
def text(transcriber) -> str:
    return transcriber.transcribe((SPOKEN, 16000)).text


@pytest.fixture(scope="module")
def port(transcriber):
    with running(ServerSettings(key="secret"), transcriber) as (port, _):
        yield port


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Its microphone hears the sentence, silence in which a slow server catches up, and the sentence again, without end."""
    path = tmp_path_factory.mktemp("microphone") / "talk.wav"
    talk = np.concatenate([SPOKEN, silence(6.0)])
    talk = soxr.resample(talk + noise(len(talk) / 16000, level=0.0003)[: len(talk)], 16000, 48000)
    soundfile.write(path, talk, 48000, "PCM_16")
    fake = "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream", f"use-file-for-fake-audio-capture={path}"
    with chromium("lang=en-US", "autoplay-policy=no-user-gesture-required", *fake) as driver:
        yield driver


def enter(browser, port: int) -> None:
    """Opens the page anew, and gives it the key."""
    browser.get(f"http://127.0.0.1:{port}/")
    assert wait(css(browser, "#key")[0].is_displayed, SLOW)
    css(browser, "#key")[0].send_keys("secret\n")
    assert wait(lambda: css(browser, "#model")[0].text == "model embedded", SLOW)


@pytest.fixture
def opened(browser, port):
    """The page, with the server's key."""
    enter(browser, port)
    complaints(browser)  # of the answer that a key is wanted
    yield browser
    assert complaints(browser) == []
    browser.execute_script("sessionStorage.clear()")


def alike(text: str, other: str) -> bool:
    """Whether most of a sentence is in what was heard, through a browser's own ideas of sound."""
    return char_errors(text, other).cer < 0.5


def shown(browser, selector: str) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)", selector
    )


def test_captions_of_what_is_said(opened, text):
    css(opened, "#tab-live")[0].click()
    css(opened, "#listen")[0].click()
    assert wait(lambda: shown(opened, "#open")[0], SLOW)  # while it is said
    assert css(opened, "#listen")[0].text == "Stop" and css(opened, "#live-state")[0].text in ("listening", "")
    assert wait(lambda: any(alike(text, line) for line in shown(opened, "#over p")), SLOW), shown(opened, "#over p")
    css(opened, "#listen")[0].click()
    assert wait(css(opened, "#keep")[0].is_displayed, SLOW)
    lines = shown(opened, "#over p")
    assert css(opened, "#listen")[0].text == "Start listening" and not css(opened, "#notice")[0].is_displayed()
    css(opened, "#keep")[0].click()
    assert wait(lambda: shown(opened, ".line-text") == lines, SLOW)
    at = next(i for i, line in enumerate(lines) if alike(text, line))
    css(opened, ".from")[at].click()
    start = opened.execute_script(
        "return document.querySelectorAll('.line')[arguments[0]].querySelector('.token').token.start", at
    )
    position = "return document.getElementById('audio').currentTime"
    assert wait(lambda: abs(opened.execute_script(position) - start) < 0.15, SLOW)
    css(opened, "#jobs .row > button:last-child")[0].click()


def test_a_recording_of_the_microphone(opened, text):
    css(opened, "#record")[0].click()
    assert wait(lambda: css(opened, "#record")[0].text.startswith("Stop · "), SLOW)
    assert wait(lambda: css(opened, "#record")[0].text >= "Stop · 0:07", SLOW)
    css(opened, "#record")[0].click()
    assert wait(lambda: css(opened, ".token"), SLOW)
    assert len(set(text) & set("".join(shown(opened, ".line-text")))) >= 3
    assert css(opened, "#jobs .title")[0].text.startswith("recording 20")
    assert css(opened, "#record")[0].text == "Record"


def test_a_clip_is_looked_at_from_the_inside(opened, text):
    """What the server's /v1/inspect makes draws itself in the frame of the page."""
    css(opened, "#tab-inspect")[0].click()
    css(opened, "#clip")[0].send_keys(str(ROOT / "data/sample/weather.flac"))
    assert wait(lambda: css(opened, "iframe"), SLOW)
    opened.switch_to.frame(css(opened, "iframe")[0])
    assert wait(
        lambda: css(opened, "#text") and css(opened, "#text")[0].text == text and css(opened, "svg, canvas"), SLOW
    )
    opened.switch_to.default_content()


def test_who_has_no_microphone_is_told(port):
    with chromium("lang=en-US", "deny-permission-prompts") as browser:
        enter(browser, port)
        css(browser, "#tab-live")[0].click()
        css(browser, "#listen")[0].click()
        assert wait(css(browser, "#notice")[0].is_displayed, SLOW)
        assert "microphone" in css(browser, "#notice")[0].text
        assert css(browser, "#listen")[0].text == "Start listening"
