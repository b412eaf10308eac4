"""What is known of a model that its makers publish."""

from dataclasses import dataclass

NOT_RUN = "not yet run on the published file"


@dataclass(frozen=True)
class PublishedFile:
    """One file of a repository."""

    path: str
    """Its path in the repository. A .tar.gz is unpacked."""
    size: int = 0
    """Bytes; 0: not read."""
    sha256: str = ""
    """Its checksum; empty: not read."""


@dataclass(frozen=True)
class Repository:
    """Where a model is on one hub."""

    name: str
    """Owner and name."""
    revision: str = ""
    """Commit, branch or tag; empty: the hub's main branch."""


@dataclass(frozen=True)
class PublishedModel:
    """A row of the table."""

    name: str
    """What users call it: `--model NAME`."""
    toolkit: str
    """Which importer reads it."""
    title: str
    """What it is, in a few words."""
    repositories: dict[str, Repository]
    """By hub."""
    files: tuple[PublishedFile, ...]
    """What the importer needs."""
    download: str
    """How much there is to fetch, as the hub's page says; empty: not read."""
    licence: str
    """Under which the weights are published."""
    cer: str
    """Published character error rates in percent, of test sets where nothing else is said; empty: none that belongs to this
    file for certain."""
    source: str
    """Where the figures, checksums and revision were read."""
    cer_by: str = "its makers say"
    """Who says so."""
    note: str = ""
    """What one should know before using it."""
    dtype: str = "float32"
    """What the weights are kept in once they are imported: what the file holds them in."""
    run: bool = False
    """Whether somebody has run this program on the published file."""
