"""The page of `asr inspect`: complete in itself, and working in a real browser."""

import re
import shutil

import numpy as np
import pytest
import soundfile

import asr
from asr.inspection.inspecting import inspect
from asr.inspection.page import inspection_page
from tests.browsers import chromium, complaints, css, wait
from tests.conftest import ROOT
from tests.sounds import silence, speech

PAINTED = """
return [...document.querySelectorAll('canvas.base, .heads canvas')].map((c) => {
  const words = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
  return new Set(words).size;
});
"""
SETTINGS = {"max_chars_per_second": 6.0, "redecode": False, "length_bonus": 0.2}


@pytest.fixture(scope="module")
def browser():
    with chromium("lang=en-US", "autoplay-policy=no-user-gesture-required") as driver:
        yield driver


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two stretches of speech, with a second of silence between them."""
    path = tmp_path_factory.mktemp("clips") / "钟楼 <b>&amp;.wav"
    soundfile.write(path, np.concatenate([silence(0.5), speech(1.5, 1), silence(1.5), speech(1.0, 2)]), 16000)
    return path


@pytest.fixture(scope="module")
def page(clip, model, tmp_path_factory):
    """Of a random model with a CTC head and hot words, at their place in the names of files."""
    loaded = asr.load(model, beam=3, hotwords=["起米", "所摸"], decode=SETTINGS)
    path = tmp_path_factory.mktemp("pages") / "clip.html"
    path.write_text(inspection_page(inspect(loaded, clip)), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, page):
    """Opens the page; afterwards the console must hold nothing."""

    def opened(shown: str = "en,light"):
        browser.get("about:blank")
        browser.get(f"{page.as_uri()}#{shown}")
        assert wait(lambda: ready(browser))
        return browser

    yield opened
    assert complaints(browser) == []


def ready(browser) -> bool:
    return browser.execute_script("return document.documentElement.dataset.ready") == "yes"


def js(browser, script: str):
    return browser.execute_script(f"return {script}")


def press(browser, *keys: str):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    for key in keys:
        browser.find_element(By.TAG_NAME, "body").send_keys(getattr(Keys, key, key))


def chosen(browser) -> str:
    return css(browser, "#chips [aria-current]")[0].text


def test_everything_is_drawn(opened):
    browser = opened()
    panels = [section.get_attribute("id") for section in css(browser, "section.panel")]
    assert panels == ["sound", "mel", "subsampled", "encoded", "attention", "candidates", "tree"]
    press(browser, "END")
    painted = browser.execute_script(PAINTED)
    assert len(painted) == 6 + 4 and min(painted) > 3, (
        painted
    )  # 6 charts, the CTC head's among them; 2 layers of 2 heads
    assert js(browser, "new Set([...document.querySelectorAll('canvas.base')].map((c) => c.width)).size") == 1
    assert len(css(browser, "#pipeline button")) == 7
    assert js(browser, "document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_goes_from_begin_to_end(opened):
    browser = opened()
    steps = js(browser, "STEPS.length")
    assert chosen(browser) == "Begin" and len(css(browser, "#candidates tr")) == 0
    assert js(browser, "document.querySelectorAll('#tree g.node:not(.later)').length") == 1
    press(browser, "ARROW_RIGHT")
    rows = css(browser, "#candidates tbody tr")
    assert 5 <= len(rows) <= 8 and len(css(browser, "#candidates tr.chosen")) == 1
    seen, grown = [chosen(browser)], [(0, 1)]
    for _ in range(steps - 2):
        press(browser, "ARROW_RIGHT")
        seen.append(chosen(browser))
        grown.append(
            tuple(js(browser, "[STEPS[view.at].s, document.querySelectorAll('#tree g.node:not(.later)').length]"))
        )
    assert grown == sorted(grown) and {stretch for stretch, _ in grown} == {0, 1}
    assert seen.count("Begin") == 1 and js(browser, "view.at") == steps - 1  # of the second stretch
    text = js(browser, "DATA.stretches.map((s) => s.text).join('')")
    assert "".join(one for one in seen if one not in ("Begin", "END")) == text and len(text) > 3
    press(browser, "ARROW_RIGHT", "ARROW_LEFT", "ARROW_LEFT")
    assert js(browser, "view.at") == steps - 3
    press(browser, "HOME")
    assert chosen(browser) == "Begin" and js(browser, "view.at") == 0
    press(browser, "END")
    assert js(browser, "view.at") == steps - 1
    press(browser, "HOME", "ARROW_RIGHT", *"kkkk")  # up to the best of the step, and one down
    assert js(browser, "view.stretch.nodes[view.node][3]") == 0
    press(browser, "j")
    assert js(browser, "view.stretch.nodes[view.picked][3]") == 1 and len(css(browser, "#tree .picked")) == 1
    press(browser, "HOME", "SPACE")
    assert wait(lambda: js(browser, "view.at") >= 2)
    press(browser, "SPACE")
    at = js(browser, "view.at")
    assert js(browser, "view.timer") == 0 and js(browser, "view.at") == at


def test_what_stands_in_a_row_adds_up(opened):
    """Every candidate that goes on: the sum so far and what is added make its new sum, as they are shown."""
    browser = opened()
    press(browser, *["ARROW_RIGHT"] * 3)
    checked = 0
    for row in css(browser, "#candidates tbody tr"):
        cells = [cell.text for cell in css(row, "td")]
        assert re.fullmatch(r"(< 0.1|\d+\.\d+) %", cells[1])
        numbers = [cell.replace("−", "-") for cell in cells[2:-1]]
        if "goes on" in cells[-1]:
            *parts, total = map(float, numbers)
            assert abs(sum(parts) - total) < 0.01 * len(numbers)
            checked += 1
    assert checked
    heads = [cell.text for cell in css(browser, "#candidates th")]
    assert heads[2:6] == ["decoder", "CTC × 0.5", "hot words", "length"]


def test_attention_of_any_layer_and_head(opened):
    browser = opened()
    press(browser, *["ARROW_RIGHT"] * 4)
    picture = "document.querySelector('#attention canvas.base').toDataURL()"
    mean = js(browser, picture)
    css(browser, ".heads button")[2].click()
    assert js(browser, "[view.layer, view.head]") == [1, 0] and js(browser, picture) != mean
    assert [s.get_attribute("value") for s in css(browser, "#attention select")] == ["1", "0"]
    css(browser, ".heads button")[2].click()
    assert js(browser, picture) == mean
    sums = js(
        browser, "[0, 1, 2].map((row) => listened(view.stretch.attention, view.heads(), row).reduce((a, b) => a + b))"
    )
    assert all(abs(one - 1) < 0.02 for one in sums)


def test_the_tree_and_the_texts(opened):
    browser = opened()
    press(browser, "END")
    assert not css(browser, "#tree g.node.later")  # texts that ended later than the result are there, too
    nodes = css(browser, "#tree g.node.way")
    assert len(nodes) == js(browser, "view.stretch.way.length")
    assert len(css(browser, "#tree .found tbody tr")) == js(browser, "view.stretch.found.length")
    for row in css(browser, "#tree .found tbody tr"):
        *parts, total, rank = (float(cell.text.replace("−", "-")) for cell in css(row, "td:not(.left)")[1:])
        if js(browser, "view.stretch.found.every(([node]) => view.stretch.nodes[node][2] === 1)"):
            assert abs(sum(parts) - total) < 0.01 * len(parts) and total < rank < 0
    browser.execute_script("view.pick(view.stretch.way[1])")
    assert len(css(browser, "#tree .picked")) == 1
    assert css(browser, "#candidates tr.chosen .glyph")[0].text == js(
        browser, "view.nameOf(view.stretch, view.stretch.way[1])"
    )


def test_two_languages_and_two_themes(opened):
    browser = opened("zh,dark")
    assert (
        css(browser, "#box, #pipeline b")[0].text == "声音" and css(browser, "html")[0].get_attribute("lang") == "zh-CN"
    )
    dark = js(browser, "getComputedStyle(document.body).backgroundColor")
    css(browser, "#theme")[0].click()
    assert js(browser, "getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark
    css(browser, "#language")[0].click()
    assert css(browser, "#pipeline b")[0].text == "Sound"
    english, chinese = (set(js(browser, f"Object.keys(WORDS.{name})")) for name in ("en", "zh"))
    assert english == chinese


def test_names_are_never_markup(opened, clip):
    browser = opened()
    assert css(browser, "h1")[0].text == f"How a machine heard {clip.name}" == browser.title


def test_a_narrow_window(opened):
    browser = opened()
    browser.set_window_size(500, 900)
    try:
        assert wait(lambda: js(browser, "document.documentElement.scrollWidth <= innerWidth"))
        assert wait(lambda: js(browser, "view.charts[0].width <= innerWidth"))
    finally:
        browser.set_window_size(1200, 1600)


@pytest.mark.parametrize("way", ["blob", "written"])
def test_in_a_frame_that_can_reach_nothing(browser, page, way, tmp_path):
    """As another page shows it: no storage, no parent, and no name of a server."""
    shutil.copy(page, tmp_path / "page.txt")
    text = page.read_text(encoding="utf-8")
    browser.get("about:blank")
    browser.execute_script(
        """
        const [text, way] = arguments, frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts";
        frame.name = "zh,dark";
        frame.style.cssText = "width: 1000px; height: 700px";
        const write = (event) => { document.open(); document.write(event.data); document.close(); };
        const writer = `<script>addEventListener("message", ${write})<\\/script>`;
        frame.src = URL.createObjectURL(new Blob([way === "blob" ? text : writer], { type: "text/html" }));
        if (way !== "blob") frame.onload = () => (frame.onload = null, frame.contentWindow.postMessage(text, "*"));
        document.body.append(frame);
        """,
        text,
        way,
    )
    browser.switch_to.frame(css(browser, "iframe")[0])
    try:
        assert wait(lambda: ready(browser))
        assert css(browser, "#pipeline b")[0].text == "声音" and js(browser, "dark()")  # as the frame is called
        css(browser, "#where")[0].click()  # whoever uses the keyboard has the frame in focus
        press(browser, "ARROW_RIGHT")
        assert len(css(browser, "#candidates tr.chosen")) == 1
        assert min(browser.execute_script(PAINTED)[:5]) > 3
        css(browser, "#hear")[0].click()
        assert wait(lambda: not js(browser, "Boolean(sounding)"))
    finally:
        browser.switch_to.default_content()
    assert complaints(browser) == []


def test_a_clip_without_speech(browser, model, tmp_path):
    (tmp_path / "silent.html").write_text(
        inspection_page(inspect(asr.load(model), (silence(2.0), 16000))), encoding="utf-8"
    )
    browser.get((tmp_path / "silent.html").as_uri() + "#en")
    assert wait(lambda: ready(browser))
    assert "Nobody was heard to speak" in css(browser, "#about")[0].text
    assert len(css(browser, "section.panel")) == 1 and not css(browser, "#stepper")[0].is_displayed()
    press(browser, "ARROW_RIGHT", "SPACE", "h")
    assert complaints(browser) == []


def test_the_page_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(
        r"<script[^>]+src=|<link[^>]+stylesheet|@import|url\(|localStorage|sessionStorage|window\.parent", text
    )
    assert "default-src 'none'" in text and "/*DATA*/" not in text


def test_ten_seconds_are_below_five_megabytes():
    """Of a decoder of the size of Whisper's small one: 12 layers of 12 heads, 50 frames a second, four characters a second."""
    from asr.inspection.packing import attention

    random, rows = np.random.default_rng(0), 41
    place = np.linspace(0, 500, rows)[:, None]
    weights = np.exp(-(((np.arange(500) - place) / 6) ** 2)) + 2e-3 * random.random((12, 12, rows, 500))
    weights = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)
    assert len(attention(weights, 500)["data"]) < 3.6e6


def test_the_command_writes_the_page(run, model, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--model", model, "--beam", 2, "--decode", "max_chars_per_second=5", "--decode", "redecode=false")
    status, out, err = run("inspect", clip, "--html", "out.html", *options)
    assert (status, out) == (0, "") and re.search(r"\nasr: out.html: \S+ \(\d\.\d MB\)\n$", f"\n{err}"), err
    assert run("inspect", clip, "--html", "out.html", *options)[2].startswith("asr: out.html: is there already")
    assert run("inspect", clip, "--html", clip, "--force", *options)[2].endswith("is an input; choose another name\n")
    assert run("inspect", clip, *options)[0] == 0 and (tmp_path / clip.with_suffix(".html").name).is_file()
    status, _, err = run("inspect", tmp_path / "none.wav", *options)
    assert status == 1 and err == f"asr: {tmp_path / 'none.wav'}: no such file\n"
    status, _, err = run("inspect", clip, "--html", tmp_path, "--force")
    assert status == 2 and "is a folder, not a file" in err.replace("\n", " ")
    status, _, err = run("inspect", clip, "--start", 3, "--end", 2)
    assert status == 2 and "2 s is not behind --start 3 s" in err
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and ROOT.name not in page.split('id="data"')[1][:50]
