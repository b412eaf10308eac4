"""Fetching files over HTTP: resumed where the connection broke, checked, and never half there.

`FILE.part` grows while bytes arrive, and takes its name only when its length and checksum are right. What an earlier run
left of it is used only if a checksum can tell whether the two ends belong together; within a run, the server is asked
to go on with the same version of the file (If-Range).
"""

import hashlib
import math
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from asr.errors import DownloadError
from asr.version import VERSION

PART = ".part"
TIMEOUT = 30
"""Seconds without a byte until a connection counts as broken."""
ATTEMPTS = 5
"""Failures in a row, none of which brought a byte, until we give up."""
WORTH_RETRYING = (408, 425, 429, 500, 502, 503, 504)
BLOCK = 1 << 20
TOKEN = "Authorization"

Progress = Callable[[int], None]
"""Is told how many bytes are there so far."""


@dataclass(frozen=True)
class Remote:
    """What is known of a file before it is fetched."""

    size: int = 0
    """Bytes; 0: not known."""
    sha256: str = ""
    """Its checksum; empty: not known."""


class _Interrupted(Exception):
    """The connection broke, or the server was busy: trying again makes sense."""

    def __init__(self, reason: str, version: str = ""):
        super().__init__(reason)
        self.version = version
        """What the server calls the version of the file that it was sending."""


class _NothingMore(Exception):
    """The server has no bytes where we asked for some."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not out of https, and keeps the headers of every answer on the way.

    The token goes along as long as the host is the same: it is for the hub, not for the store that it sends us to.
    """

    def __init__(self):
        self.headers: list[Message] = []

    def redirect_request(self, request, response, code, message, headers, url):
        self.headers.append(headers)
        if request.type == "https" and not url.startswith("https:"):
            raise DownloadError(f"{request.full_url}: leads to {url}, which is not encrypted")
        following = super().redirect_request(request, response, code, message, headers, url)
        token = request.unredirected_hdrs.get(TOKEN)
        if token and following and (following.type, following.host) == (request.type, request.host):
            following.add_unredirected_header(TOKEN, token)
        return following


def look_up(url: str, token: str = "") -> Remote:
    """Size and checksum of a file, as far as the hub states them. Raises DownloadError where it cannot be reached.

    Hugging Face states both in the headers X-Linked-Size and X-Linked-ETag of files in its large file storage.
    """
    for attempt in range(2):
        try:
            response, answers = _open(url, token, {"Range": "bytes=0-0"})
            break
        except _NothingMore:
            return Remote()
        except _Interrupted as error:
            if attempt:
                raise DownloadError(f"{url}: {error}") from error
            _pause(0)
    response.close()
    whole = (response.headers["Content-Range"] or "").rpartition("/")[2]
    length = whole if response.status == 206 else response.headers["Content-Length"] or ""
    sizes = [h["X-Linked-Size"] for h in answers if h["X-Linked-Size"]] + [length]
    tags = [h["X-Linked-ETag"].strip('"').lower() for h in answers if h["X-Linked-ETag"]]
    sums = [tag for tag in tags if re.fullmatch("[0-9a-f]{64}", tag)]
    return Remote(_number(sizes[0]), sums[0] if sums else "")


def _number(stated: str) -> int:
    """Bytes that a header states; 0 where it states none, or more than any file has."""
    return int(stated) if re.fullmatch("[0-9]{1,15}", stated) else 0


def download(url: str, target: Path, expected: Remote, token: str = "", *, progress: Progress = lambda n: None) -> None:
    """Fetches a file. Raises DownloadError if it cannot be had, or is not what was expected: then `target` is not there.

    Stopped (Ctrl-C, a broken connection), it leaves `target`.part, from which the next call goes on.
    """
    part = target.with_name(target.name + PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    if not expected.sha256:
        part.unlink(missing_ok=True)
    resumed = part.exists()
    _fetch(url, part, expected, token, progress)
    wrong = _difference(part, expected)
    if wrong and resumed:  # the two ends did not belong together
        part.unlink()
        _fetch(url, part, expected, token, progress)
        wrong = _difference(part, expected)
    if wrong:
        part.unlink()
        raise DownloadError(
            f"{url}: {wrong}; it was thrown away. Either the file was changed there, or something on the way to here"
            " changes what it passes on"
        )
    os.replace(part, target)


def _fetch(url: str, part: Path, expected: Remote, token: str, progress: Progress) -> None:
    """Appends to `part` until the server has sent all, however often the connection breaks, as long as tries bring bytes."""
    failures, version = 0, ""
    while True:
        if not (version or expected.sha256):
            part.unlink(missing_ok=True)
        start = _size(part)
        try:
            return _append(url, part, start, expected, token, version, progress)
        except _Interrupted as error:
            failures = 1 if _size(part) > start else failures + 1
            if failures > ATTEMPTS:
                kept = f"; {_size(part):,} bytes are kept, the same command goes on from there" if _size(part) else ""
                raise DownloadError(f"{url}: {error}{kept}") from error
            version = error.version or version
            _pause(failures - 1)


def _append(url: str, part: Path, start: int, expected: Remote, token: str, version: str, progress: Progress) -> None:
    """Writes one answer of the server behind the first `start` bytes of `part`, or in place of them."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and version:
        headers["If-Range"] = version
    try:
        response, _ = _open(url, token, headers)
    except _NothingMore:  # all of it is here, or too much: the comparison will tell
        return
    with response:
        answer = response.headers
        if answer.get_content_type() == "text/html":
            raise DownloadError(f"{url}: the answer is a web page, not the file: is there a login page in between?")
        if response.status != 206 or not (answer["Content-Range"] or "").startswith(f"bytes {start}-"):
            start = 0
        total = start + _number(answer["Content-Length"] or "")
        if total > start and expected.size and total != expected.size:
            raise DownloadError(f"{url}: {total:,} bytes long there, {expected.size:,} were expected: it was changed")
        strong = answer["ETag"] if not (answer["ETag"] or "W/").startswith("W/") else ""
        version = strong or answer["Last-Modified"] or ""
        done = start
        with _storing(part), open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            while block := _read(response, version):
                done += len(block)
                if done > (expected.size or total or math.inf):
                    raise DownloadError(
                        f"{url}: sends more than the {expected.size or total:,} bytes that were announced; it was stopped"
                    )
                file.write(block)
                progress(done)
            file.truncate()
        if done < total:
            raise _Interrupted(f"the connection ended after {done:,} of {total:,} bytes", version)


@contextmanager
def _storing(part: Path) -> Iterator[None]:
    """A block that writes what arrives: a full disk is said to be one, and that what is there is of use."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{part}: could not be stored ({error.strerror or error}); what has arrived is kept, the same command goes on from"
            " there"
        ) from error


def _read(response: HTTPResponse, version: str) -> bytes:
    try:
        return response.read1(BLOCK)
    except (OSError, HTTPException) as error:
        raise _Interrupted(f"the connection broke ({error or type(error).__name__})", version) from error


def _open(url: str, token: str, headers: dict[str, str]) -> tuple[HTTPResponse, list[Message]]:
    """The server's answer, and the headers of all answers on the way to it, the hub's own first."""
    _refuse_socks(urllib.parse.urlsplit(url))
    redirects = _Redirects()
    request = urllib.request.Request(url, headers=headers | {"User-Agent": f"mandarin-asr/{VERSION}"})
    if token:
        request.add_unredirected_header(TOKEN, f"Bearer {token}")
    try:
        response = urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            raise _NothingMore from error
        if error.code in WORTH_RETRYING:
            raise _Interrupted(f"the server answers {error.code} {error.reason}") from error
        raise DownloadError(f"{url}: {_refusal(error)}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: the server's certificate is not trusted ({error.reason.reason})") from error
        raise _Interrupted(f"cannot be reached ({error.reason})") from error
    except (OSError, HTTPException) as error:
        raise _Interrupted(f"the connection broke ({error or type(error).__name__})") from error
    except UnicodeError as error:  # of a host that no name server can be asked for
        raise DownloadError(f"{url}: its host, or that of a proxy or of where it leads, is no name of one") from error
    return response, [*redirects.headers, response.headers]


def _refuse_socks(url: urllib.parse.SplitResult) -> None:
    """Raises DownloadError where what is fetched would go through a proxy that urllib cannot talk to."""
    proxy = urllib.request.getproxies().get(url.scheme, "")
    if proxy.lower().startswith("socks") and not urllib.request.proxy_bypass(url.hostname or ""):
        raise DownloadError(
            f"{url.scheme.upper()}_PROXY names a SOCKS proxy, which is not spoken here; give the HTTP port that most such"
            f" programs have, too, or unset it for {url.hostname} (NO_PROXY)"
        )


def _refusal(error: urllib.error.HTTPError) -> str:
    if error.code in (401, 403):
        return f"the server answers {error.code} {error.reason}: it wants an account with access (HF_TOKEN)"
    if error.code == 404:
        return "there is no such file (404): the repository was changed or removed"
    return f"the server answers {error.code} {error.reason}"


def _difference(part: Path, expected: Remote) -> str:
    """What is wrong with a fetched file; empty: nothing."""
    if expected.size and _size(part) != expected.size:
        return f"{_size(part):,} bytes arrived, {expected.size:,} were expected"
    if expected.sha256:
        with open(part, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected.sha256:
            return f"the checksum (SHA-256) of what arrived is {found}, expected was {expected.sha256}"
    return ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _pause(failures: int) -> None:
    time.sleep(2**failures / 2)
