"""Where published models are fetched from: the address of each file."""

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from asr.catalogue.published_model import Repository
from asr.errors import DownloadError
from asr.foreign_bytes import quoted

ON = ("1", "ON", "YES", "TRUE")
"""How a variable says that something is switched on, as Hugging Face's library reads it."""


@dataclass(frozen=True)
class Hub:
    """A place that models are fetched from."""

    title: str
    """Its name for people."""
    address: str
    """Where it is."""
    variable: str
    """The environment variable that names another address, a mirror for example."""
    path: str
    """Path of a file, behind the address."""
    branch: str
    """The revision that has the latest files."""
    token_variable: str = ""
    """The environment variable with the user's access token; empty: none is sent."""

    offline_variable: str = ""
    """The environment variable that forbids to fetch anything; empty: none does."""

    def url(self, repository: Repository, path: str) -> str:
        """The address of a file. Raises DownloadError where `variable` holds no address."""
        given = os.environ.get(self.variable, "").strip()
        address = given or self.address
        address = address if "://" in address else f"https://{address}"
        if not _is_address(address):
            raise DownloadError(
                f"{self.variable} must be the address of a mirror, https://HOST, is {quoted(_without_user(given))}"
            )
        revision = repository.revision or self.branch
        return address.rstrip("/") + quote(self.path.format(repository=repository.name, revision=revision, path=path))

    def token(self) -> str:
        """What to send; DownloadError, which does not show it, for what no header can hold."""
        token = os.environ.get(self.token_variable, "").strip() if self.token_variable else ""
        if not token.isascii() or not all(map(str.isprintable, token)):
            raise DownloadError(f"{self.token_variable} holds no access token: these are of letters and digits")
        return token

    def require_online(self, name: str) -> None:
        """Raises DownloadError where the user forbids to fetch the model `name`."""
        if self.offline_variable and os.environ.get(self.offline_variable, "").upper() in ON:
            raise DownloadError(
                f"{name}: is not here, and {self.offline_variable} forbids to fetch it from {self.title}"
            )


def _without_user(address: str) -> str:
    """What may be shown of an address: one with a password in it is refused, too."""
    return re.sub("[^/]*@", "…@", address)


def _is_address(text: str) -> bool:
    """Whether it is a host's, with a folder or without; names and passwords urllib would take for the host's."""
    try:
        parts = urlsplit(text)
        plain = parts.path.isascii() and not re.search(r"\s", text)
        alone = not (parts.username or parts.query or parts.fragment)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and plain and alone
    except ValueError:  # a port that is no number
        return False


HUBS = {
    "huggingface": Hub(
        "Hugging Face",
        "https://huggingface.co",
        "HF_ENDPOINT",
        "/{repository}/resolve/{revision}/{path}",
        "main",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
    ),
    "modelscope": Hub(
        "ModelScope",
        "https://modelscope.cn",
        "MODELSCOPE_DOMAIN",
        "/models/{repository}/resolve/{revision}/{path}",
        "master",
    ),
}
