"""Where published models are fetched from: the address of each file."""

import os
from dataclasses import dataclass
from urllib.parse import quote

from asr.catalogue.published_model import Repository


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

    def url(self, repository: Repository, path: str) -> str:
        address = os.environ.get(self.variable) or self.address
        address = address if "://" in address else f"https://{address}"
        revision = repository.revision or self.branch
        return address.rstrip("/") + quote(self.path.format(repository=repository.name, revision=revision, path=path))

    def token(self) -> str:
        return os.environ.get(self.token_variable, "") if self.token_variable else ""


HUBS = {
    "huggingface": Hub(
        "Hugging Face",
        "https://huggingface.co",
        "HF_ENDPOINT",
        "/{repository}/resolve/{revision}/{path}",
        "main",
        "HF_TOKEN",
    ),
    "modelscope": Hub(
        "ModelScope",
        "https://modelscope.cn",
        "MODELSCOPE_DOMAIN",
        "/models/{repository}/resolve/{revision}/{path}",
        "master",
    ),
}
