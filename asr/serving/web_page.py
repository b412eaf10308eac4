"""The page at `/`, for people with a browser: files that lie beside this module, and need nothing from elsewhere."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

HOME, FRAME = "index.html", "frame.html"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILES = {path.name: path for path in sorted((Path(__file__).parent / "page").iterdir()) if path.suffix in KINDS}
"""Name → file: whatever else a request names is not there."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: use what this server has, and play what its reader chose."""
FRAME_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts"
)
"""For a whole document with scripts of its own, which the page shows: it reaches neither the page, nor its key, nor a network."""
HEADERS = {
    "Cache-Control": "no-cache",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_file(name: str) -> Response:
    """A file of the page, for everybody: there is no secret in it. Raises HTTPException where there is none of this name."""
    if name not in FILES:
        raise HTTPException(404)
    path = FILES[name]
    policy = FRAME_POLICY if name == FRAME else POLICY
    kind = f"{KINDS[path.suffix]}; charset=utf-8"
    return Response(path.read_bytes(), headers=HEADERS | {"Content-Security-Policy": policy, "Content-Type": kind})
