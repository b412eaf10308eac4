"""Sizes that the code keeps to."""

import ast
from collections.abc import Iterator

from tests.conftest import ROOT

MOST_LINES = 350
MOST_PARAMETERS, MOST_BY_POSITION = 8, 4
FIXED = {"forward", "look", "redirect_request"}
"""Functions whose parameters are not ours to order: PyTorch and the standard library call them."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function, bool]]:
    """(file:line, definition, whether it is a method) of the program, outside the command line."""
    for path in sorted((ROOT / "asr").rglob("*.py")):
        if path.is_relative_to(ROOT / "asr/cli"):
            continue
        for parent in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, Function) and node.name not in FIXED:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node, isinstance(parent, ast.ClassDef)


def test_functions_take_few_parameters():
    offenders = []
    for where, node, is_method in functions():
        by_position = len(node.args.posonlyargs + node.args.args) - is_method
        total = by_position + len(node.args.kwonlyargs)
        public = not node.name.startswith("_") or node.name == "__init__"
        if total > MOST_PARAMETERS or (public and by_position > MOST_BY_POSITION):
            offenders.append(f"{where} {node.name}: {total} parameters, {by_position} by position")
    assert not offenders, "\n".join(
        [f"at most {MOST_PARAMETERS}, of public functions {MOST_BY_POSITION} by position:", *offenders]
    )


def test_files_are_short():
    files = [path for folder in ("asr", "tests", "benchmarks", "recipes") for path in (ROOT / folder).rglob("*.py")]
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    offenders = [f"{path.relative_to(ROOT)}: {size} lines" for path, size in sizes.items() if size > MOST_LINES]
    assert len(files) > 200 and not offenders, "\n".join([f"at most {MOST_LINES} lines:", *offenders])
