"""Who may ask. A web page must not use a server behind the back of the person who reads the page.

A browser sends what a page of any site asks it to, also to this machine and its network: forms without asking first, and
everything to a name that the page's owner lets point here (DNS rebinding). What a browser does not let a page change are the
headers Host, Origin and Sec-Fetch-Site.
"""

import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from asr.serving.settings import ServerSettings
from asr.serving.tokens import holds

ANY = "*"
IN_PROTOCOL = "openai-insecure-api-key."
HOME = ("same-origin", "none")
"""What Sec-Fetch-Site is where no other site has a hand in it: asked by the server's own page, or by the person."""


def refusal(headers: Mapping[str, str], settings: ServerSettings, linked: bool = False) -> str | None:
    """Why a request with these headers is not answered, whatever it asks for; None where it is.

    linked: whether it asks for a page, to which links of other sites may lead.
    """
    host, origin = headers.get("host"), headers.get("origin")
    if host is not None and not goes_by(host, settings):
        return f"this server does not go by the name {host[:100]!r}; if it should, start it with --allow-host NAME"
    if ANY in settings.origins or origin in settings.origins:
        return None
    foreign = origin is not None and origin.lower().partition("://")[2] != (host or "").lower()
    if foreign:
        return f"pages of {origin[:100]!r} may not use this server; if they should, start it with --allow-origin ORIGIN"
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if linked and followed and origin is None:
        return None
    if origin is None and headers.get("sec-fetch-site", "none").lower() not in HOME:
        return "pages of other sites may not use this server; if one should, start it with --allow-origin ORIGIN"
    return None


def goes_by(host: str, settings: ServerSettings) -> bool:
    """Whether a Host header, its port aside, names this server: where it listens, localhost, or a name that is allowed."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    name = name.rstrip(".")
    allowed = {allowed.lower().strip("[].") for allowed in settings.hosts}
    if ANY in allowed or name in allowed or name in ("localhost", settings.host.lower()):
        return True
    address, listening = _address(name), _address(settings.host)
    if address is None:
        return False
    # addresses need no name server, so nobody can let them point elsewhere
    return address.is_loopback or listening is None or listening.is_unspecified or address == listening


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def key_of(headers: Mapping[str, str], offered: Sequence[str] = ()) -> str:
    """The header that has the key; pages, which cannot set it, put the key among the protocols that a WebSocket offers."""
    of_page = [protocol.removeprefix(IN_PROTOCOL) for protocol in offered if protocol.startswith(IN_PROTOCOL)]
    return f"Bearer {of_page[0]}" if of_page else headers.get("authorization", "")


def knows(key: str, authorization: str, lent: bool = True) -> bool:
    """Whether the header of that name has the key, which is ASCII; or, where it may be lent, a token of it."""
    kind, _, sent = authorization.partition(" ")
    sent = sent.strip()
    own = hmac.compare_digest(sent.encode(), key.encode())
    return kind.lower() == "bearer" and (own or (lent and holds(sent, key)))
