"""A run looked at afterwards: its page, another run beside it, its recipe's curve beside it."""

import base64
import json
import re
import shutil
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from asr.errors import CheckpointError
from asr.model.folder import load_model, save_model
from asr.training.charts import line_chart, picture
from asr.training.display import how_long, step_line
from asr.training.history import read_history
from asr.training.run_comparison import compare, verify, write_reference
from asr.training.train_config import TrainConfig
from tests.conftest import ROOT


def test_a_chart_by_hand():
    figure = line_chart("Loss", {"a": [(0, 0.0), (100, 2.0)], "nothing": []}, low=0.0)
    assert 'points="52.0,196.0 450.0,10.0"' in figure and "nothing" not in figure and ">100</text>" in figure
    assert line_chart("Loss", {"a": []}) == ""
    assert "<circle" in line_chart("Loss", {"a": [(5, 1.0)]})
    assert "&lt;x&gt;" in line_chart("<x>", {"a": [(0, 1), (1, 1)]})


def test_charts_side_by_side_have_the_same_steps():
    assert line_chart("Loss", {"a": [(5, 1.0), (10, 2.0)]}, last=20).count(">20</text>") == 1
    assert 'points="52.0,196.0 251.0,10.0"' in line_chart("Loss", {"a": [(0, 0.0), (10, 2.0)]}, last=20)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1.0 min"), (3599, "60.0 min"), (36e5, "1,000.0 h")]
)
def test_a_time_is_in_the_unit_that_suits_it(seconds, said):
    assert how_long(seconds) == said


def test_a_line_of_a_step_names_each_loss_and_the_time_left():
    line = {"step": 50, "epoch": 2, "loss": 2.6, "attention": 2.0, "ctc": 4.0, "accuracy": 0.5, "rate": 0.0015}
    line |= {"gradient": 3.25, "hours": 1.5, "wall": 90.0}
    both = step_line(line, 5400.0, TrainConfig(max_steps=2050, ctc_weight=0.3))
    assert both == (
        "step 50  epoch 2  loss 2.600 (decoder 2.000, CTC 4.000)  accuracy 0.500  rate 0.0015  gradient 3.25"
        "  1.5 h of audio in 1.5 min, 1.0 h left"
    )
    assert "loss 2.600  accuracy" in step_line(line, 5400.0, TrainConfig(max_steps=2050))


def test_a_picture_is_a_png_of_these_values():
    url = picture(np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 2.0]]))
    png = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    start = png.index(b"IDAT") + 4
    rows = zlib.decompress(png[start : png.index(b"IEND") - 8])
    assert rows == bytes([0, 255, 0, 127, 0, 0, 255, 0])


class Page(HTMLParser):
    """Tags that are open, for a page that closes all it opens."""

    VOID = {"meta", "img", "line", "polyline", "circle"}

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_of_the_toy_run(toy_run, run, tmp_path):
    folder = shutil.copytree(toy_run, tmp_path / "run")
    loaded = load_model(folder)
    save_model(folder, loaded.model, loaded.tokenizer.table, loaded.metadata)  # with all that a header says now
    status, out, err = run("report", folder, "--out", tmp_path / "page.html")
    assert (status, out) == (0, "") and "page.html: written" in err
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search("<td>(checksum|golden|tokens)</td>", text)  # what only a program reads
    page = Page()
    page.feed(text)
    assert page.open == [] and all(link.startswith("data:") for link in page.links) and len(page.links) == 6
    for title in ("Loss", "Dev CER in %", "Attention", "Accuracy by place in the text", "Worst dev utterances"):
        assert title in text
    assert re.search(
        r"Step 1,000 of 1,000, epoch \d+; .* times as fast as it was spoken. Best dev CER \d\.\d\d % at step [\d,]+. Kept in the"
        r" folder: the (average|model) of steps? .*, dev CER \d\.\d\d %.",
        text,
    )
    assert text.count("<svg") == 9 and len(text) < 200_000


def test_the_page_of_a_run_without_a_model(tmp_path, run):
    settings = {"train": {"max_steps": 10, "ctc_weight": 0.0, "ctc_only_steps": 0}, "data": {"dev": []}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "log.jsonl").write_text("")
    assert run("report", tmp_path)[0] == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No step has been logged yet." in text and "No model or no dev audio to look at" in text


def test_a_folder_without_a_run(run, tmp_path):
    status, _, err = run("report", tmp_path)
    assert status == 1 and "holds no training run (settings.json is missing)" in err


@pytest.fixture
def made(tmp_path):
    """Writes a run whose dev CER at steps 10, 20, … is as given."""

    def write(name, cers, **settings):
        folder = tmp_path / name
        folder.mkdir()
        train = {"max_steps": 100, "ctc_weight": 0.0, "ctc_only_steps": 0} | settings
        (folder / "settings.json").write_text(json.dumps({"train": train, "data": {"dev": [], "train": [name]}}))
        lines = []
        for i, cer in enumerate(cers, 1):
            lines.append({"step": 10 * i, "epoch": i, "loss": 1.0, "hours": i / 2, "wall": 1800.0 * i})
            lines.append({"step": 10 * i, "dev_cer": cer})
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return read_history(folder)

    return write


def test_two_runs_side_by_side(made, run):
    a, b = made("a", [0.5, 0.25]), made("b", [0.5, 0.3, 0.2], learning_rate=0.002)
    lines = compare(a, b)
    assert lines[0].split() == ["a", "b"]
    assert [line.split() for line in lines[1:]] == [
        ["data.train", "['a']", "['b']"],
        ["train.learning_rate", "None", "0.002"],
        [],
        ["dev", "CER", "in", "%"],
        ["step", "10", "50.00", "50.00"],
        ["step", "20", "25.00", "30.00"],
        ["step", "30", "20.00"],
        ["best", "25.00", "at", "20", "20.00", "at", "30"],
        ["hours", "of", "audio", "1.00", "1.50"],
        ["hours", "of", "time", "1.00", "1.50"],
    ]
    status, out, _ = run("compare", a.folder, b.folder)
    assert status == 0 and out.splitlines() == lines


def test_the_same_run_twice(toy_run):
    history = read_history(toy_run)
    lines = compare(history, history)
    assert lines[1] == "same data, settings, versions and commit" and len(lines) < 22


def test_a_run_and_the_curve_of_its_recipe(made, tmp_path, run):
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    reference = made("reference", [0.9, 0.5, 0.2, 0.1])
    assert run("verify", reference.folder, recipe)[0] == 1  # there is no curve yet
    status, _, err = run("verify", reference.folder, recipe / "mistyped", "--write")
    assert status == 1 and "mistyped: no such recipe; name its folder, or a file in it" in err
    assert run("verify", reference.folder, recipe, "--write")[0] == 0
    assert verify(reference, recipe)[0]
    late = made("late", [0.95, 0.6, 0.24, 0.12])  # slower at first, then within the limits
    assert verify(late, recipe)[0]
    uneven = made("uneven", [0.9, 0.19, 0.5, 0.12])  # the best so far counts
    assert verify(uneven, recipe)[0]
    bad = made("bad", [0.9, 0.5, 0.2, 0.3], learning_rate=0.1)
    good, lines = verify(bad, recipe)
    assert not good and lines[3] == "step       40   dev CER  30.00 %   reference  10.00 %   above 12.50"
    assert len(lines) == 4
    status, out, _ = run("verify", bad.folder, recipe)
    assert status == 1 and out.endswith("NOT as the recipe says\n")
    short = made("short", [0.9])
    assert "too early to say" in verify(short, recipe)[1][-1]
    with pytest.raises(CheckpointError, match="has not been evaluated yet"):
        write_reference(made("none", []), recipe)


def test_the_toy_run_keeps_to_its_recipe(toy_run, tmp_path):
    good, lines = verify(read_history(toy_run), ROOT / "recipes/toy")
    assert good, "\n".join(lines)
    shutil.copytree(toy_run, tmp_path / "worse")
    log = tmp_path / "worse/log.jsonl"
    log.write_text(re.sub(r'"dev_cer": [\d.]+', '"dev_cer": 0.5', log.read_text()))
    assert not verify(read_history(tmp_path / "worse"), ROOT / "recipes/toy")[0]
