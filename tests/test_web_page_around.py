"""The page at `/`, in a real browser: languages, light and dark, the server's key, refusals, and clips that are inspected."""

import re

import pytest

from asr.serving.settings import ServerSettings
from tests.browsers import complaints, css, wait
from tests.conftest import ROOT
from tests.serving import running
from tests.web_pages import SLOW, FakeTranscriber, browser, js, opened, port, press, read, recording

pytest.importorskip("starlette")
FIXTURES = (browser, port, opened, read, recording)
PAGE = ROOT / "asr/serving/page"


def test_what_has_the_focus_is_seen(opened):
    from selenium.webdriver.common.keys import Keys

    seen = []
    while not seen or seen[-1] != "body":
        press(opened, Keys.TAB)
        seen.append(js(opened, "document.activeElement.id || document.activeElement.localName"))
        outline = "[node, node.closest('.button')].some((one) => one && getComputedStyle(one).outlineStyle !== 'none')"
        assert seen[-1] == "body" or js(opened, f"((node) => {outline})(document.activeElement)"), seen
    assert seen == ["a", "language", "theme", "tab-recordings", "files", "record", "words", "people", "body"]


def test_chinese_and_english(read):
    css(read, "#language")[0].click()
    assert js(read, "document.documentElement.lang") == "zh-CN" and css(read, "#tab-live")[0].text == "实时字幕"
    assert css(read, "#jobs output")[0].text == "21 字" and css(read, "#play")[0].get_attribute("aria-label") == "播放"
    rest = js(read, "document.body.innerText")
    assert not re.findall(
        r"[a-z]{3,}", re.sub(r"model nobody|nobody|it clips|txt|srt|vtt|json|TextGrid|[\w ]*\.wav", "", rest)
    )
    read.refresh()
    assert wait(lambda: css(read, "#model")[0].text == "模型 nobody", SLOW)
    css(read, "#language")[0].click()
    assert css(read, "#tab-live")[0].text == "Live captions"


def test_light_and_dark(opened):
    def paper() -> str:
        return js(opened, "getComputedStyle(document.body).backgroundColor")

    button = css(opened, "#theme")[0]
    button.click()
    assert button.text == "Light" and paper() == "rgb(246, 245, 241)"
    button.click()
    assert button.text == "Dark" and paper() == "rgb(21, 24, 27)"
    opened.refresh()
    assert wait(lambda: css(opened, "#theme")[0].text == "Dark", SLOW) and paper() == "rgb(21, 24, 27)"


@pytest.mark.parametrize("width", [320, 360, 400])
def test_a_narrow_screen(read, width):
    """Nothing lies beside it or beside its place, fields have room for a name, and no word of a tab is broken."""
    size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    read.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for tab in css(read, "[role=tab]"):
            tab.click()
            assert js(read, "document.documentElement.scrollWidth") == width
            assert js(read, "arguments[0].scrollWidth <= arguments[0].clientWidth", tab)
            assert js(read, "arguments[0].clientHeight < 45", tab), "one line"
            player = css(read, "#player")[0]
            assert js(read, "arguments[0].scrollWidth <= arguments[0].clientWidth", player)
            fields = "[...document.querySelectorAll('input[type=text]')].filter((one) => one.offsetParent)"
            assert all(wide > 160 for wide in js(read, f"{fields}.map((one) => one.clientWidth)"))
    finally:
        read.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        css(read, "#tab-recordings")[0].click()


CONTRAST = """((node) => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (channel) => (channel <= 10.31 ? channel / 3294.6 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found.length === 3) return luminance(found);
    }
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walk.nextNode()) {
    const parent = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !parent.checkVisibility() || parent.closest(":disabled, option")) continue;
    const pair = [luminance(channels(getComputedStyle(parent).color)), behind(parent)].sort((a, b) => b - a);
    found.push([(pair[0] + 0.05) / (pair[1] + 0.05), walk.currentNode.data]);
  }
  return found;
})()"""
"""The contrast of every text that is to be seen, as WCAG 2 defines it."""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_enough_contrast(read, theme):
    read.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    css(read, "#compare > summary")[0].click()
    css(read, "#reference")[0].send_keys("天气还好")
    css(read, "#score")[0].click()
    assert wait(lambda: css(read, ".rate"), SLOW)
    css(read, ".token")[1].click()
    found = js(read, CONTRAST)
    assert len(found) > 60 and [pair for pair in found if pair[0] < 4.5] == []
    for tab in ("live", "inspect", "recordings"):
        css(read, f"#tab-{tab}")[0].click()
        assert [pair for pair in js(read, CONTRAST) if pair[0] < 4.5] == []


def test_the_server_s_key(browser, recording):
    with running(ServerSettings(key="se cret/x"), FakeTranscriber()) as (port, _):
        browser.get(f"http://127.0.0.1:{port}/")
        field = css(browser, "#key")[0]
        assert wait(field.is_displayed, SLOW) and not css(browser, "#key-wrong")[0].is_displayed()
        for wrong in ("nothing", "密钥"):
            field.send_keys(wrong, "\n")
            assert wait(css(browser, "#key-wrong")[0].is_displayed, SLOW) and wait(field.is_displayed, SLOW)
            assert wait(lambda: field.get_attribute("value") == "", SLOW)
        field.send_keys("se cret/x\n")
        assert wait(lambda: css(browser, "#model")[0].text == "model nobody", SLOW)
        css(browser, "#files")[0].send_keys(str(recording))
        assert wait(lambda: len(css(browser, ".token")) == 11, SLOW)
        browser.refresh()
        assert wait(lambda: css(browser, "#model")[0].text == "model nobody", SLOW)  # the tab remembers it
        browser.execute_script("sessionStorage.clear()")
    assert [message for message in complaints(browser) if "401 (Unauthorized)" not in message] == []


INSPECTED = """<!doctype html><title>x</title><style>p { color: red }</style><p id="made">no</p>
<script>
const reach = (what) => { try { return String(what()); } catch (error) { return error.name; } };
document.getElementById("made").textContent = [reach(() => parent.document.title), reach(() => sessionStorage.length)].join();
fetch("/v1/models").then(() => document.title = "reached", () => document.title = "kept in");
</script>"""


def inspecting(status: int, body: str):
    """Around an application that answers /v1/inspect in another way."""

    def around(application):
        async def app(scope, receive, send):
            if scope.get("path") != "/v1/inspect":
                return await application(scope, receive, send)
            while (await receive()).get("more_body"):
                pass
            kind = b"text/html; charset=utf-8" if status == 200 else b"application/json"
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
            await send({"type": "http.response.body", "body": body.encode()})

        return app

    return around


def test_a_clip_is_inspected_in_a_frame_that_reaches_nothing(browser, recording):
    with running(transcriber=FakeTranscriber(), around=inspecting(200, INSPECTED)) as (port, _):
        browser.get(f"http://127.0.0.1:{port}/")
        css(browser, "#tab-inspect")[0].click()
        css(browser, "#clip")[0].send_keys(str(recording))
        assert wait(lambda: css(browser, "iframe"), SLOW)
        assert css(browser, "iframe")[0].get_attribute("aria-label") == "How 会议 1 became text"
        browser.switch_to.frame(css(browser, "iframe")[0])
        assert wait(lambda: css(browser, "#made"), SLOW)
        assert css(browser, "#made")[0].text == "SecurityError,SecurityError"
        assert wait(lambda: js(browser, "document.title") == "kept in", SLOW)
        assert css(browser, "#made")[0].value_of_css_property("color") == "rgba(255, 0, 0, 1)"
        browser.switch_to.default_content()
        complaints(browser)  # of what the frame was not allowed


@pytest.mark.parametrize(
    "status, body, said",
    [
        (404, '{"error": {"message": "Not Found"}}', "This server cannot inspect clips."),
        (400, '{"error": {"message": "a clip is 30 s at most"}}', "The server says: a clip is 30 s at most"),
        (500, "oh", "The server says: oh"),
    ],
)
def test_a_clip_that_cannot_be_inspected(browser, recording, status, body, said):
    with running(transcriber=FakeTranscriber(), around=inspecting(status, body)) as (port, _):
        browser.get(f"http://127.0.0.1:{port}/")
        css(browser, "#tab-inspect")[0].click()
        css(browser, "#clip")[0].send_keys(str(recording))
        assert wait(lambda: css(browser, "#inspect-state")[0].text == said, SLOW)
        assert not css(browser, "#inspected")[0].is_displayed()
    assert [message for message in complaints(browser) if f" {status} " not in message] == []


def test_both_languages_say_everything_that_the_page_says(opened):
    words = js(opened, "import('/page/words.js').then(({ WORDS }) => WORDS)")
    assert sorted(words["en"]) == sorted(words["zh"])
    for key in words["en"]:
        assert sorted(re.findall(r"{\w+}", words["en"][key])) == sorted(re.findall(r"{\w+}", words["zh"][key])), key
    files = [path.read_text(encoding="utf-8") for path in sorted(PAGE.iterdir())]
    asked = set(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', "".join(files)))
    assert asked <= set(words["en"]) and len(asked) > 50
    source = "".join(files)
    assert [key for key in words["en"] if not re.search(rf'["`]{key}["`]|theme_\$|{key}:.*{key}\b.*\?', source)] == []


def test_the_page_needs_nothing_else():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:https?:)?//[a-z][^\"' ]+", text)) <= {"http://www.w3.org/2000/svg"}, path
        assert not re.search(r"<script[^>]+src=\"(?!page/)|@import|url\(|innerHTML|eval\(| style=\"", text), path
