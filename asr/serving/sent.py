"""JSON that clients send, as values that can be sent back: JSON and Python let in more than can be written or computed with."""

import json
import re
from typing import Any

LONE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape of half a character beyond U+FFFF, which may stand alone."""
LONGEST_INT = 18
"""Digits of a whole number that is read as one: a longer one is a float, infinite where none is large enough."""


def read_json(sent: bytes | str) -> Any:
    """The value that was sent; half characters in it become U+FFFD. Raises ValueError where it is no JSON in UTF-8."""
    text = sent if isinstance(sent, str) else sent.decode("utf-8-sig")
    try:
        value = json.loads(text, parse_int=_number)
        if LONE.search(text):
            halves = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
            value = json.loads(halves.decode("utf-16-le", "replace"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INT else float(digits)
