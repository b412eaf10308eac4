"""`asr serve`: transcripts over HTTP, asked for as OpenAI's /v1/audio/transcriptions is, so that clients for that work.

    curl http://127.0.0.1:8000/v1/audio/transcriptions -F file=@talk.m4a -F response_format=srt

Recordings are transcribed one at a time, in the order in which they came in; until its turn an upload lies on disk, without
a name. What nobody waits for any more is not transcribed to its end.
"""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress

from asr.errors import AsrError
from asr.extras import brings
from asr.finishing.finishing import Finishing
from asr.serving.memory import share_one_heap
from asr.serving.settings import ServerSettings
from asr.transcription.transcriber import Transcriber

WEBSOCKETS = {
    "ws": "websockets-sansio",
    "ws_max_size": 2**24,
    "ws_ping_interval": None,
    "ws_per_message_deflate": False,
}
"""No message above 16 MiB. Nobody is pinged: whoever sends nothing is sent away, and a client that is held back hears no ping."""
KEPT = 75
"""Seconds for which a connection is kept for another request: longer than the clients' own 5 s (Python's) and 60 s (nginx's).
Whoever ends it first knows that it has ended; the other one may just be sending the next request on it."""
GRACE = 2
"""Seconds that requests get to end in once the server is told to."""


def serve(
    load: Callable[[], Transcriber], finishing: Finishing, settings: ServerSettings, say: Callable[[str], None]
) -> None:
    """Answers requests until it is interrupted. Raises AsrError where the port is taken, or a package is missing."""
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401  what Starlette reads forms with
        import starlette  # noqa: F401
        import uvicorn
        import websockets  # noqa: F401
    except ImportError:
        raise AsrError(f"a server needs more packages: {brings('serve')}") from None
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it tells of every form that is none
    from asr.serving.application import PATH, Application
    from asr.serving.connections import Connection

    share_one_heap()
    with socket_at(settings.host, settings.port) as listening:
        transcriber = load()
        application = Application(transcriber, finishing, settings, say)

        class Server(uvicorn.Server):
            def handle_exit(self, sig, frame):
                if application.service.stopping.is_set():
                    os._exit(128 + sig)  # asked twice; uploads have no names, so nothing is left of them
                application.service.stopping.set()  # or it would wait until all is transcribed
                super().handle_exit(sig, frame)

        config = uvicorn.Config(
            application,
            http=Connection,
            **WEBSOCKETS,
            lifespan="off",
            proxy_headers=False,
            timeout_keep_alive=KEPT,
            log_level="critical",  # the application says itself what it must
            timeout_graceful_shutdown=GRACE,
        )
        where = f"[{settings.host}]" if ":" in settings.host else settings.host
        port = listening.getsockname()[1]
        name, home = transcriber.loaded.name, f"http://{where}:{port}"
        say(f"asr: {name} answers at {home}{PATH}, with a page at {home}/; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):  # which uvicorn raises again behind a clean end
            Server(config).run(sockets=[listening])
        if not application.service.scheduler.end(GRACE):
            os._exit(0)  # in the middle of something that cannot be interrupted


def socket_at(host: str, port: int) -> socket.socket:
    """A listening socket; with port 0 the system chooses one. At :: it listens for IPv4, too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    try:
        listening = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        reason = os.strerror(error.errno) if (error.errno or 0) > 0 else error.strerror or error
        raise AsrError(f"{host}:{port}: cannot be listened at ({reason}); choose another --host or --port") from error
    # connections inherit it; else the second part of an answer waits for the client's word that it has the first, 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
