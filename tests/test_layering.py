"""Imports go down only."""

import ast

import pytest

from tests.conftest import ROOT

LAYERS = [
    {"asr.version", "asr.errors", "asr.printable", "asr.stopping", "asr.transcript"},
    {"asr.files", "asr.config_values"},
    {"asr.folders"},
    {"asr.text", "asr.audio", "asr.outputs"},
    {"asr.features", "asr.decoding"},
    {"asr.model", "asr.corpus", "asr.training.settings"},
    {"asr.decoding.timing"},
    {"asr.scoring", "asr.decoding.recognizer", "asr.config"},
    {"asr.interop"},
    {"asr.training", "asr.transcription"},
    {"asr.serving"},
    {"asr.cli_options"},
    {"asr.cli_corpus", "asr.cli_live", "asr.cli_model", "asr.cli_serve", "asr.cli_training", "asr.cli_transcribe"},
    {"asr.cli"},
    {"asr", "asr.__main__"},
]
"""Bottom up. A module belongs to the longest name that it starts with."""


def layer(module: str) -> tuple[int, str]:
    """Number and name of the layer of a module."""
    matches = [
        (len(name), number, name)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or (name != "asr" and module.startswith(name + "."))
    ]
    assert matches, f"{module} is in no layer: give it one"
    _, number, name = max(matches)
    return number, name


def imports() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "asr").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [(module, alias.name) for alias in node.names if alias.name.partition(".")[0] == "asr"]
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "asr":
                found.append((module, node.module))
    return found


def test_imports_go_down_only():
    assert len(imports()) > 50
    for importer, imported in imports():
        (high, home), (low, other) = layer(importer), layer(imported)
        assert low < high or home == other, f"{importer} (layer {high}) imports {imported} (layer {low})"


def test_modules_do_not_import_each_other_in_circles():
    graph: dict[str, set[str]] = {}
    for importer, imported in imports():
        graph.setdefault(importer, set()).add(imported)

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join([*path, module])
        for other in graph.get(module, ()):
            visit(other, (*path, module))

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("package", ["torchaudio", "librosa", "jiwer"])
def test_what_only_tests_need_is_imported_nowhere(package):
    """They are references for the tests, and a user need not have them."""
    for path in (ROOT / "asr").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not any(name.partition(".")[0] == package for name in names), path


def test_every_module_says_what_it_is_for():
    for path in (ROOT / "asr").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if text and path.name not in ("__main__.py", "version.py"):
            assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
