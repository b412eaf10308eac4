"""Curves and pictures as SVG and PNG, written out by hand: a page of them needs no script and no other file."""

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 460, 220, 52, 24, 10
COLOURS = ("#4575b4", "#d73027", "#1a9850", "#984ea3", "#b8860b", "#555555")
Points = Sequence[tuple[float, float]]


def line_chart(
    title: str, curves: dict[str, Points], low: float | None = None, high: float | None = None, *, last: float = 0
) -> str:
    """A figure with a curve a name, over steps; `low` and `high` bound the vertical axis, else the values do.

    The horizontal axis goes to the step `last` at least: figures side by side have the same.
    """
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return ""
    ys = [y for points in curves.values() for _, y in points]
    low, high = min(ys) if low is None else low, max(ys) if high is None else high
    high = high if high > low else low + (abs(low) or 1.0)
    last = max(last, *(x for points in curves.values() for x, _ in points)) or 1

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - 10) * x / last
        down = TOP + (HEIGHT - TOP - BOTTOM) * (1 - (min(max(y, low), high) - low) / (high - low))
        return f"{across:.1f},{down:.1f}"

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = low + share * (high - low)
        down = place(0, y).split(",")[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 10}" y1="{down}" y2="{down}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{float(down) + 4:.1f}" text-anchor="end">{y:.3g}</text>')
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        across = LEFT + (WIDTH - LEFT - 10) * share
        parts.append(f'<text x="{across:.0f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{share * last:,.0f}</text>')
    for colour, (name, points) in zip(COLOURS * 3, curves.items(), strict=False):
        path = " ".join(place(x, y) for x, y in points)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>')
        if len(points) == 1:
            across, down = path.split(",")
            parts.append(
                f'<circle cx="{across}" cy="{down}" r="3" fill="{colour}"><title>{escape(name)}</title></circle>'
            )
    parts.append("</svg>")
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)} {points[-1][1]:.4g}</span>'
        for colour, (name, points) in zip(COLOURS * 3, curves.items(), strict=False)
    )
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}<p>{legend}</p></figure>"


def picture(values: np.ndarray) -> str:
    """An image (rows, columns) of values from 0, white, to 1, dark, as a data URL that HTML can show."""
    rows, columns = values.shape
    grey = (255 * (1 - np.clip(values, 0, 1))).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in grey)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0))
    png += _chunk(b"IDAT", zlib.compress(raw, 9)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
