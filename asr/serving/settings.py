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
    """Recordings that wait while one is transcribed; who comes then is told to come again later."""
    hosts: tuple[str, ...] = ()
    """Names besides its own that the server is called by; "*" is any."""
    origins: tuple[str, ...] = ()
    """Web pages of other servers that may ask, as browsers name them: https://example.org; "*" is any."""
    most_clients: int = 200
    """Requests that are sent, wait, or are worked on: whoever sends slowly takes none of the places of those who wait."""
    most_work: float = 3600.0
    """Seconds that are worked on one recording at most, without those in which others have their turn."""
    most_live: int = 16
    """Live sessions at a time."""
    most_idle: float = 60.0
    """Seconds in which a live client must send something."""
