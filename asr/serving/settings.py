"""What a server lets in, and how much of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, who may ask, and for how much."""

    host: str = "127.0.0.1"
    """An address or a name of this machine; 0.0.0.0 and :: are all of them."""
    port: int = 8000
    """0 takes any that is free."""
    key: str = ""
    """What clients must know, in ASCII, sent as OpenAI's key is; empty asks for none."""
    most_bytes: int = 2 * 10**9
    """Bytes of a request at most."""
    most_seconds: float = 4 * 3600.0
    """Seconds of audio in a recording at most, counted as it is decoded: a small file can be long."""
    most_waiting: int = 16
    """Requests that are sent or wait while a recording is transcribed; who comes then is told to come again later."""
    hosts: tuple[str, ...] = ()
    """Names besides its own that the server is called by; "*" is any."""
    origins: tuple[str, ...] = ()
    """Web pages of other servers that may ask, as browsers name them: https://example.org; "*" is any."""
