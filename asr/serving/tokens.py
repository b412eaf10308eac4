"""Keys for web pages: whoever knows the server's key gets one that ends soon, and may give it away.

It is the time at which it ends, with a signature that only the server's key makes; the server keeps no list.
"""

import hashlib
import hmac
import time

from asr.serving.refusals import BadRequest

PREFIX = "ek_"
USUAL, LEAST, MOST = 600, 10, 7200
"""Seconds for which a token holds: where nobody says, and at least and at most."""


def new_token(key: str, seconds: int = USUAL) -> tuple[str, int]:
    """A token and the time, in seconds since 1970, at which it ends."""
    ends = int(time.time()) + seconds
    return f"{PREFIX}{ends}_{_signature(key, ends)}", ends


def holds(token: str, key: str) -> bool:
    """Whether a token was made with this key, and has not ended."""
    ends, _, signature = token.removeprefix(PREFIX).partition("_")
    if not token.startswith(PREFIX) or not (ends.isascii() and ends.isdigit() and len(ends) < 12):
        return False
    return hmac.compare_digest(signature.encode(), _signature(key, int(ends)).encode()) and time.time() < int(ends)


def _signature(key: str, ends: int) -> str:
    return hmac.new(key.encode(), f"{PREFIX}{ends}".encode(), hashlib.sha256).hexdigest()


def seconds_asked(body: object) -> int:
    """For how long a request wants a token to hold. Raises BadRequest."""
    after = body.get("expires_after") if isinstance(body, dict) else None
    seconds = after.get("seconds") if isinstance(after, dict) else None
    if seconds is None:
        return USUAL
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not LEAST <= seconds <= MOST:
        raise BadRequest(f"expires_after.seconds must be from {LEAST} to {MOST}", "expires_after")
    return seconds
