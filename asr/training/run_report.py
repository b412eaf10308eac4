"""A run as one HTML page: curves, whether the decoder listens and where, the worst utterances, time and hours."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch

from asr.decoding.decode_config import DecodeConfig
from asr.errors import AsrError, CheckpointError
from asr.files import write_file
from asr.foreign_bytes import reading
from asr.model.folder import LoadedModel, load_model
from asr.model.storage import OF_THE_NUMBERS
from asr.places import require_file
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors, char_errors
from asr.training.charts import line_chart, picture
from asr.training.display import how_long
from asr.training.evaluation import DevSet, read_dev_sets
from asr.training.health import Probe, attention_of_the_best_head, why_silent
from asr.training.history import History, read_history
from asr.training.origin import kept

PICTURES, WORST = 6, 20
STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1d2127, #e4e7eb); --soft: light-dark(#5f6b7a, #98a2ae);
  --line: light-dark(#d9dee4, #3a424c); --paper: light-dark(#fff, #14171b); }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: var(--ink);
  background: var(--paper); max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.flow { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; width: 22rem; max-width: 100%; }
figcaption { font-weight: 600; } figure p, .note { color: var(--soft); margin: 0; font-size: .85rem; }
.note { margin-bottom: .5rem; }
figure span { margin-right: .8rem; } figure i { display: inline-block; width: .8em; height: .8em; margin-right: .3em; }
svg { width: 100%; } svg text { font-size: 11px; fill: var(--soft); } .grid { stroke: var(--line); stroke-width: .6; }
img { width: 100%; height: 11rem; image-rendering: pixelated; border: 1px solid var(--line); box-sizing: border-box; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: left; overflow-wrap: anywhere; }
"""


def write_run_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Writes `report.html` in the run's folder, or `out`; returns its path.

    Attention and the worst utterances need the best model so far and the dev audio; without either the page does without.
    """
    history = read_history(folder)
    path = Path(out) if out else history.folder / "report.html"
    require_file(path, force=True)
    with reading(history.folder, CheckpointError, "its log or its settings are not those of a run"):
        sections, summary = [_curves(history), _about(history)], _summary(history)
    try:
        loaded = load_model(history.folder)
        with reading(history.folder, CheckpointError):
            dev_sets = read_dev_sets(history.settings["data.dev"])
    except AsrError as error:
        sections.insert(1, f'<p class="note">No model or no dev audio to look at: {escape(str(error))}</p>')
    else:
        if dev_sets:
            sections[1:1] = [_attention(loaded, dev_sets), _worst(loaded, dev_sets)]
    title = escape(f"Training run {history.folder.resolve().name}")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{escape(summary)}</p>"
    )
    write_file(path, page + "\n".join(sections) + "\n</html>\n")
    return path


def _summary(history: History) -> str:
    notes = [f"{note[0].upper()}{note[1:]}." for note in history.notes if note]
    if not history.losses:
        return " ".join(["No step has been logged yet.", *notes])
    last, best = history.losses[-1], history.best
    audio, seconds, steps = 3600 * last["hours"], max(last["wall"], 1e-9), history.settings["train.max_steps"]
    text = f"Step {last['step']:,} of {steps:,}, epoch {last['epoch']}; {how_long(audio)} of audio in"
    text += f" {how_long(seconds)}, {audio / seconds:,.0f} times as fast as it was spoken."
    if last["step"] < steps:
        text += f" The rest takes {how_long(seconds / last['step'] * (steps - last['step']))} at this speed."
    if history.before:
        text += f" Dev CER before the first step {100 * history.before['dev_cer']:.2f} %."
    if best:
        text += f" Best dev CER {100 * best['dev_cer']:.2f} % at step {best['step']:,}."
    if history.origin:
        text += f" Kept in the folder: {kept(history.folder)}."
    if history.quarantined:
        text += f" {history.quarantined:,} utterances were left out: see quarantine.jsonl."
    return " ".join([text, *notes])


def _curves(history: History) -> str:
    def of(lines: list[dict], name: str, scale: float = 1.0) -> list[tuple[float, float]]:
        return [(line["step"], scale * line[name]) for line in lines if line.get(name) is not None]

    losses, dev, health = history.losses, history.evaluations, history.health
    with_ctc = history.settings["train.ctc_weight"] or history.settings["train.ctc_only_steps"]
    names = sorted({name for line in dev for name in line if name.startswith("dev_cer")})
    if len(names) == 2:  # the one dev set, and the whole that it is
        names = names[:1]
    places = list(health[-1]["by_position"]) if health else []
    by_place = {f"token {place}": [(h["step"], h["by_position"].get(place, 0.0)) for h in health] for place in places}
    of_parts = {"whole": of(losses, "loss"), "decoder": of(losses, "attention"), "CTC": of(losses, "ctc")}
    looked_at = "dev" if history.settings.get("data.dev") else "training, undisturbed"
    figures: list[tuple[str, dict, float | None, float | None]] = [
        ("Loss in training, nats a token", of_parts if with_ctc else {"decoder": of_parts["decoder"]}, None, None),
        ("Dev CER in %", {name: of(dev, name, 100.0) for name in names}, 0.0, None),
        (
            "Accuracy of the next token",
            {"training": of(losses, "accuracy"), looked_at: of(health, "accuracy")},
            0.0,
            1.0,
        ),
        ("Attention", {name: of(health, name) for name in ("diagonal", "entropy")}, 0.0, 1.0),
        ("What the wrong recording costs, nats a token", {"gain": of(health, "gain")}, 0.0, None),
        ("Accuracy by place in the text", by_place, 0.0, 1.0),
        ("Learning rate", {"rate": of(losses, "rate")}, 0.0, None),
        ("Norm of the gradient before it is clipped", {"gradient": of(losses, "gradient")}, 0.0, None),
        ("Hours of audio", {"hours": of(losses, "hours")}, 0.0, None),
    ]
    last = max((line["step"] for lines in (losses, dev, health) for line in lines), default=0)
    charts = [line_chart(title, curves, low, high, last=last) for title, curves, low, high in figures]
    note = "Over optimizer steps; behind each name stands its last value."
    return f'<h2>Curves</h2><p class="note">{note}</p><div class="flow">{"".join(charts)}</div>'


def _attention(loaded: LoadedModel, dev_sets: Sequence[DevSet]) -> str:
    utterances = [u for dev in dev_sets for u in dev.utterances]
    probe = Probe.choose(utterances, loaded.tokenizer)
    if probe is None:
        return f'<h2>Attention</h2><p class="note">{escape(why_silent(utterances, loaded.tokenizer, "dev"))}</p>'
    texts = {u.id: u.text for dev in dev_sets for u in dev.utterances}
    figures = []
    for id, weights in list(zip(probe.batch.ids, attention_of_the_best_head(loaded.model, probe), strict=True))[
        :PICTURES
    ]:
        image = picture((weights / weights.amax(1, keepdim=True)).numpy())
        caption = f"<figcaption>{escape(texts[id])}</figcaption>"
        figures.append(
            f'<figure>{caption}<img src="{image}" alt="attention of {escape(id)}"><p>{escape(id)}</p></figure>'
        )
    note = (
        "Tokens from top to bottom, audio from left to right, the head whose attention is most diagonal. A model that"
    )
    note += " listens draws a line from the upper left corner to the lower right one."
    return f'<h2>Attention</h2><p class="note">{note}</p><div class="flow">{"".join(figures)}</div>'


def _worst(loaded: LoadedModel, dev_sets: Sequence[DevSet]) -> str:
    rows: list[tuple[CharErrors, str, str, str]] = []
    with torch.no_grad():
        for dev in dev_sets:
            results = Recognizer(loaded.model, loaded.tokenizer, DecodeConfig(beam=1)).recognize(dev.samples)
            for u, nbest in zip(dev.utterances, results, strict=True):
                rows.append((char_errors(u.text, nbest[0].text), u.id, u.text, nbest[0].text))
    rows = sorted((row for row in rows if row[0].cer), key=lambda row: (-row[0].cer, row[1]))
    cells = "".join(
        f"<tr><td>{100 * errors.cer:.0f} %</td><td>{escape(id)}</td><td>{escape(text)}</td><td>{escape(hypothesis)}</td></tr>"
        for errors, id, text, hypothesis in rows[:WORST]
    )
    head = "<tr><th>CER</th><th>utterance</th><th>said</th><th>recognised, beam 1</th></tr>"
    return f"<h2>Worst dev utterances</h2><table>{head}{cells}</table>"


def _about(history: History) -> str:
    origin = {k: v for k, v in history.origin.items() if k not in (*OF_THE_NUMBERS, "settings")}
    rows = [*origin.items(), *((name, str(value)) for name, value in history.settings.items())]
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in rows)
    return (
        f"<h2>Where it comes from</h2><details><summary>{len(rows)} settings</summary><table>{cells}</table></details>"
    )
