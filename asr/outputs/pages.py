"""HTML pages that need nothing else: style, scripts and data stand in them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def page_of(folder: Path, data: Any, scripts: Sequence[str] = ("page.js",)) -> str:
    """The page.html of a folder, with its page.css, its scripts one behind the other, and data as JSON."""
    text = (folder / "page.html").read_text(encoding="utf-8")
    parts = {
        "STYLE": (folder / "page.css").read_text(encoding="utf-8"),
        "SCRIPT": "\n".join((folder / name).read_text(encoding="utf-8") for name in scripts),
        "DATA": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    for name, part in parts.items():  # DATA last: nothing in it is taken for a placeholder
        text = text.replace(f"/*{name}*/", part, 1)
    return text
