"""Imports go down only."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = [
    {"text", "audio"},
    {"features", "decoding", "outputs", "punctuation"},
    {"model", "corpus", "finishing", "speakers"},
    {"recognition", "scoring"},
    {"exported"},
    {"interop", "exporting"},
    {"catalogue"},
    {"training", "transcription"},
    {"inspection"},
    {"evaluation", "serving"},
    {"cli"},
]
"""The folders of asr/, bottom up. The modules beside them are below them all, but for asr itself, which is above."""


def layer(module: str) -> tuple[int, str]:
    """Number and name of the layer of a module."""
    _, _, inside = module.partition(".")
    folder, _, rest = inside.partition(".")
    if not inside or inside == "__main__":
        return len(LAYERS), "asr"
    if not rest and not (ROOT / "asr" / folder).is_dir():
        return -1, "beside the folders"
    matches = [number for number, names in enumerate(LAYERS) if folder in names]
    assert matches, f"asr/{folder} is in no layer: give it one"
    return matches[0], folder


@cache
def trees() -> dict[Path, ast.Module]:
    """What each module holds."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "asr").rglob("*.py"))}


@cache
def imports() -> list[tuple[str, str]]:
    """(module, what it imports)."""
    found = []
    for path, tree in trees().items():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [(module, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.append((module, node.module))
    return found


def own_imports() -> list[tuple[str, str]]:
    """Those of our own modules."""
    return [(importer, imported) for importer, imported in imports() if imported.partition(".")[0] == "asr"]


def test_imports_go_down_only():
    assert len(own_imports()) > 50
    for importer, imported in own_imports():
        (high, home), (low, other) = layer(importer), layer(imported)
        assert low < high or home == other, f"{importer} (layer {high}) imports {imported} (layer {low})"


def test_modules_do_not_import_each_other_in_circles():
    graph: dict[str, set[str]] = {}
    for importer, imported in own_imports():
        graph.setdefault(importer, set()).add(imported)

    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join([*path, module])
        if module in done:
            return
        for other in graph.get(module, ()):
            visit(other, (*path, module))
        done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("package", ["torchaudio", "librosa", "jiwer"])
def test_what_only_tests_need_is_imported_nowhere(package):
    """They are references for the tests, and a user need not have them."""
    assert not [importer for importer, imported in imports() if imported.partition(".")[0] == package]


def test_every_module_says_what_it_is_for():
    for path, tree in trees().items():
        if path.stat().st_size and path.name not in ("__main__.py", "version.py"):
            assert ast.get_docstring(tree), f"{path} has no docstring"
