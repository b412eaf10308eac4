"""What the documents say exists."""

import dataclasses
import re
import shlex
import subprocess
from importlib import import_module

import pytest
import typer.main

from asr.cli import app
from asr.cli.optional_values import with_values
from asr.training.config import Config
from asr.transcription.transcriber import Transcriber
from asr.version import VERSION
from tests.conftest import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "data/README.md",
    ROOT / "recipes/README.md",
    ROOT / "asr/exporting/README.md",
    ROOT / "asr/interop/README.md",
    ROOT / "asr/scoring/README.md",
    ROOT / "asr/serving/README.md",
    ROOT / "asr/inspection/README.md",
    *ROOT.glob("recipes/*/README.md"),
    *ROOT.glob("asr/pretrained/*/README.md"),
]


def commands() -> list[str]:
    """Every line in a code block of a document that calls `asr`."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.S):
            found += [
                line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip().startswith("asr ")
            ]
    return found


@pytest.mark.parametrize("line", commands())
def test_every_command_has_the_form_that_the_program_takes(line):
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    options = {name: option for option in command.params for name in option.opts}
    arguments = 0
    words = with_values(words)
    while words:
        word, given, _ = words.pop(0).partition("=")
        if word.startswith("--"):
            assert word in options, f"{line}: no option {word}"
            if not options[word].is_flag and not given:
                words.pop(0)
        else:
            arguments += 1
    required = [p for p in command.params if p.param_type_name == "argument" and p.required]
    assert arguments >= len(required), line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (document.parent / target.partition("#")[0]).exists(), target


def test_the_tree_in_the_readme_is_the_tree():
    block = re.search(
        r"## What is where\n\n```\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    ).group(1)
    named = {line.split()[0].rstrip("/") for line in block.splitlines() if line.startswith("  ")}
    folders = {p.name for p in (ROOT / "asr").iterdir() if p.is_dir() and not p.name.startswith("__")}
    assert folders == {name for name in named if "." not in name}


def code_of(document: str) -> list[str]:
    """The lines of its code blocks, without comments and the tree."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|python)\n(.*?)```", text, re.S)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_both_readmes_show_the_same_commands():
    assert len(code_of("README.md")) > 40 and code_of("README.md") == code_of("README.zh-CN.md")


def test_every_command_has_a_call_that_exists():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = page[page.index("| command | Python |") :].split("\n\n")[0].splitlines()[2:]
    told = set()
    for _, commands, calls, _ in (row.split("|") for row in rows):
        group = ""
        for command in re.findall(r"`([^`]+)`", commands):
            group = command.split()[0] if command.split()[0] in ("corpus", "model") else group
            told.add(command if command.startswith(group) else f"{group} {command}")
        module = ""
        for call in re.findall(r"`([^`]+)`", calls):
            if call.startswith("."):
                name = call[1:]
            else:
                module, _, name = call.partition("(")[0].rpartition(".")
            if "(" not in call:
                home = Transcriber if call in (".transcribe_all", ".iter_segments") else import_module(module)
                assert hasattr(home, name), call
    command = typer.main.get_command(app)
    names = {n for n, one in command.commands.items() if not hasattr(one, "commands")}
    names |= {f"{group} {n}" for group in ("corpus", "model") for n in command.commands[group].commands}
    assert {name.partition(" --")[0] for name in told} == names


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"])
def test_a_document_is_short_enough_to_be_read(document):
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    assert len(lines) < 200 and all(len(line) <= 120 for line in lines if not line.startswith("|"))


def test_every_setting_is_described():
    """A sentence stands under each field of each dataclass of the configuration."""

    def check(cls: type) -> None:
        module = __import__(cls.__module__, fromlist=["x"])
        source = open(module.__file__, encoding="utf-8").read()
        body = source[source.index(f"class {cls.__name__}") :]
        for field in dataclasses.fields(cls):
            assert re.search(rf'\n    {field.name}: [^\n]+(?:\n        [^\n]*|\n    \))*\n    """', body), (
                f"{cls.__name__}.{field.name}"
            )
            default = field.default_factory() if field.default_factory is not dataclasses.MISSING else None
            if dataclasses.is_dataclass(default):
                check(type(default))

    check(Config)


def test_the_changelog_knows_this_version():
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_pin_what_the_project_needs():
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and line[0] != "#"
    )
    assert pinned["torch"] == "2.13.0"
    names = re.findall(r'^    "([a-z0-9-]+)>=', (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(names) <= {name.lower() for name in pinned} and len(names) > 10


def test_nothing_refers_to_one_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    for name in tracked:
        path = ROOT / name
        if (
            path.suffix in (".py", ".md", ".toml", ".txt", ".json")
            and path.is_file()
            and path != ROOT / "tests/test_docs.py"
        ):
            assert not re.search(r"(^|[\s\"'(=])/(work|root|home|tmp)/", path.read_text(encoding="utf-8")), name
