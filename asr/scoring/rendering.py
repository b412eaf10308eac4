"""A table of systems by test sets as text, Markdown and LaTeX."""

import re
from collections.abc import Callable

from asr.printable import columns
from asr.scoring.systems import SIGNIFICANT, Table, letter


def rendered(table: Table, style: str) -> list[str]:
    """Lines of the table; `style`: a key of STYLES."""
    return STYLES[style](table)


def _text(table: Table) -> list[str]:
    rows = [["", "", *_heads(table)]]
    for n, name in enumerate(table.systems):
        rows.append([letter(n), name, *(_plain_cell(table, column, n) for column in table.columns)])
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell + " " * (w - columns(cell)) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return [line.rstrip() for line in [f"{_caption(table)}", *lines, *_differences(table)]]


def _markdown(table: Table) -> list[str]:
    head = ["", "system", *_heads(table)]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---|" * len(table.columns)]
    for n, name in enumerate(table.systems):
        cells = [_marked_cell(table, column, n, "**{}**", " {}", "<sup>{}</sup>") for column in table.columns]
        lines.append(f"| {' | '.join([letter(n), _SPECIAL.sub(_escaped, name), *cells])} |")
    return [*lines, "", _caption(table)]


def _latex(table: Table) -> list[str]:
    head = " & ".join(["", "system", *map(_tex, _heads(table))])
    lines = [
        f"% {_caption(table)}",
        rf"\begin{{tabular}}{{ll{'l' * len(table.columns)}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
    ]
    for n, name in enumerate(table.systems):
        cells = [
            _marked_cell(table, column, n, r"\textbf{{{}}}", r" {{\small {}}}", r"\textsuperscript{{{}}}")
            for column in table.columns
        ]
        lines.append(" & ".join([letter(n), _tex(name), *cells]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


STYLES: dict[str, Callable[[Table], list[str]]] = {"text": _text, "markdown": _markdown, "latex": _latex}
"""How a table may be written; LaTeX needs the package booktabs."""


def _heads(table: Table) -> list[str]:
    return [name or table.rate_name for name in table.columns]


def _caption(table: Table) -> str:
    text = f"{table.rate_name} in %"
    if any(score.interval for scores in table.columns.values() for score in scores):
        text += ", in brackets its 95 % interval"
    if len(table.systems) < 2:
        return text
    return text + (
        f"; letters: systems that are significantly worse (p < {SIGNIFICANT:g}, matched-pairs bootstrap,"
        " Holm's correction for all pairs of a column)"
    )


def _differences(table: Table) -> list[str]:
    """A line for each two systems."""
    lines = []
    for pair in table.pairs:
        d, where = pair.difference, f"{pair.set}: " if pair.set else ""
        text = f"{where}{letter(pair.b)} − {letter(pair.a)} {100 * d.cer:+.2f}"
        if d.interval:
            text += f", 95 % interval {100 * d.interval.low:+.2f} to {100 * d.interval.high:+.2f}"
        if pair.corrected is None:
            lines.append(f"{text} (fewer than ten utterances: no test)")
        else:
            verdict = "significant" if pair.significant else "not significant"
            lines.append(f"{text}, {d.p_text} over {d.n:,} {d.over}, corrected {pair.corrected:.3f}: {verdict}")
    return lines


def _numbers(table: Table, column: str, system: int) -> tuple[str, str, str]:
    """Rate, interval, letters."""
    score = table.columns[column][system]
    interval = score.interval
    between = f"[{100 * interval.low:.2f}, {100 * interval.high:.2f}]" if interval else ""
    return f"{100 * score.cer:.2f}", between, ",".join(map(letter, table.beaten(column, system)))


def _plain_cell(table: Table, column: str, system: int) -> str:
    return " ".join(part for part in _numbers(table, column, system) if part)


def _marked_cell(table: Table, column: str, system: int, best: str, bracket: str, raised: str) -> str:
    rate, between, letters = _numbers(table, column, system)
    text = best.format(rate) if table.is_best(column, system) and len(table.systems) > 1 else rate
    return text + (raised.format(letters) if letters else "") + (bracket.format(between) if between else "")


_SPECIAL = re.compile(r"[|\\`*_<]")


def _escaped(match: re.Match) -> str:
    """A character that means something in Markdown."""
    return "\\" + match[0]


def _tex(text: str) -> str:
    escaped = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^]|[&%$#_{}]", lambda match: escaped.get(match[0], "\\" + match[0]), text)
