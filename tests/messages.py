"""The catalogue of messages: what the code says, what of it is translated, and its compiled form.

    python -m tests.messages

brings asr/locale/zh_CN/LC_MESSAGES/asr.po up to date: new messages come in untranslated, what is said no longer goes, and
asr.mo is compiled. Messages are found where they are written: texts and f-strings of several words, docstrings aside, and the
help of the commands.
"""

import ast
import io
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import typer.main
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from asr.cli import app
from asr.cli.helping import OF_TYPER, paragraphs
from asr.language import CHINESE, DOMAIN, FOLDER, PREFIX, split, unescaped
from tests.conftest import ROOT

PO = FOLDER / CHINESE / "LC_MESSAGES" / f"{DOMAIN}.po"
MO = PO.with_suffix(".mo")
WORDS = re.compile(r"[A-Za-z]{2,}")
RESULTS = {
    f"asr/{name}.py"
    for name in (
        *("catalogue/exporting", "catalogue/listing", "catalogue/published", "catalogue/published_model"),
        *("cli/dry_run", "cli/examination", "corpus/summary", "corpus/checking", "exporting/page"),
        *("training/charts", "training/run_comparison", "training/run_report"),
    )
}
"""Modules whose texts are results, pages and tables, but for those of errors."""
HELP = "help/"
"""Before the name of a command whose docstring says something."""
COUNTED = re.compile(r"^ [a-z]{4,}$")
"""One word behind a field: ` checkpoints` of f"{n} checkpoints"."""
HEADER = "# Messages of the asr command in Chinese; `make messages` brings them up to date with the code."


@cache
def said() -> dict[str, list[str]]:
    """Template of each message → files that say it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "asr").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if str(path.relative_to(ROOT)) in RESULTS:
            tree = ast.Module([node for node in ast.walk(tree) if isinstance(node, ast.Raise)], [])
        for template in texts_of(tree):
            if unescaped(template) in OF_TYPER:  # a template already
                template = unescaped(template)
            template = template.removeprefix(PREFIX)
            found.setdefault(template, []).append(str(path.relative_to(ROOT)))
    for name, command in commands(typer.main.get_command(app)):
        for paragraph in paragraphs(command.help or ""):
            found.setdefault(escaped(paragraph), []).append(f"{HELP}{name.replace(' ', '/') or 'asr'}")
    return {template: sorted(set(places)) for template, places in found.items()}


def commands(command, name: str = "") -> Iterator[tuple[str, object]]:
    """All commands below one, with their names, itself among them."""
    yield name, command
    for inside, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {inside}".strip())


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Templates of the texts of several words in a module, docstrings aside."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) or is_code(node, tree):
            continue
        template, literal = None, ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            template, literal = escaped(node.value), node.value
        elif isinstance(node, ast.JoinedStr):
            template, literal = template_of(node)
        is_help = isinstance(tree, ast.keyword) and tree.arg == "help"
        counted = isinstance(node, ast.JoinedStr) and bool(COUNTED.search(literal))
        is_help = is_help and bool(WORDS.search(literal))
        if template is not None and (is_help or counted or is_prose(literal.removeprefix(PREFIX))):
            yield template
        if isinstance(node, ast.JoinedStr):
            for value in node.values:
                if isinstance(value, ast.FormattedValue):
                    yield from texts_of(ast.Expression(value.value))
        else:
            yield from texts_of(node)


def is_code(node: ast.AST, of: ast.AST) -> bool:
    """Whether a part of something holds texts for programs alone: a type, a regular expression, a list that is split."""
    if isinstance(node, ast.Constant) and node in (getattr(of, "annotation", None), getattr(of, "returns", None)):
        return True
    function = node.func if isinstance(node, ast.Call) else None
    if not isinstance(function, ast.Attribute):
        return False
    is_pattern = isinstance(function.value, ast.Name) and function.value.id == "re"
    return is_pattern or (isinstance(function.value, ast.Constant) and function.attr == "split")


def is_prose(text: str) -> bool:
    """Whether a text, without what stands in its fields, is for people: there are words in it, and more than one thing."""
    return " " in text.strip() and bool(WORDS.search(text)) and "\n" not in text.strip("\n")


def template_of(node: ast.JoinedStr) -> tuple[str, str]:
    """`{path}: {n} lines` of f"{path}: {len(n):,} lines", and the words in it alone."""
    text, literal, names = "", "", []
    for value in node.values:
        if isinstance(value, ast.Constant):
            text += escaped(value.value)
            literal += value.value
        elif text.endswith("}") and names and not text.endswith("}}"):
            continue  # two fields with nothing between them: what stands there cannot be told apart
        else:
            name = base = name_of(value.value)
            while name in names:
                name = f"{base}_{names.count(base) + sum(n.startswith(base + '_') for n in names) + 1}"
            names.append(name)
            text += f"{{{name}}}"
    return text, literal


def name_of(node: ast.expr) -> str:
    """A name for a field: the last word of what stands in it."""
    if isinstance(node, ast.Name):
        return node.id.strip("_")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Call):
        inside = [name_of(argument) for argument in node.args]
        return next((name for name in inside if name != "value"), "") or name_of(node.func)
    if isinstance(node, ast.Subscript | ast.Starred | ast.Await):
        return name_of(node.value)
    if isinstance(node, ast.BinOp):
        return next((name for name in map(name_of, (node.left, node.right)) if name != "value"), "value")
    return "value"


def escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


class Messages(Catalog):
    """With a header that holds no dates and no versions: the same messages are the same bytes."""

    mime_headers = [("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8")]

    def __init__(self):
        super().__init__(CHINESE, DOMAIN, header_comment=HEADER, fuzzy=False)


def read_catalogue() -> Messages:
    messages = Messages()
    if PO.exists():
        with open(PO, "rb") as file:
            for message in read_po(file, CHINESE, DOMAIN):
                if message.id:
                    messages[message.id] = message
    return messages


def updated(old: Messages, messages: dict[str, list[str]]) -> Messages:
    """What the code says now, with the translations that there are, whatever the fields are called now."""
    new = Messages()
    known = {shape(message.id): message for message in old if message.id and message.string}
    for template in sorted(messages, key=lambda template: (messages[template][0], template)):
        chinese = ""
        if message := known.get(shape(template)):
            chinese = renamed(message.string, dict(zip(split(message.id)[1], split(template)[1], strict=True)))
        new.add(template, chinese, [(place, None) for place in messages[template]])
    return new


def renamed(template: str, names: Mapping[str, str]) -> str:
    """A template with other names of its fields."""
    return re.sub(r"(?<!\{)\{(\w+)\}", lambda field: f"{{{names[field[1]]}}}", template)


def shape(template: str) -> tuple[str, ...]:
    """What a template says, whatever its fields are called."""
    return split(template)[0]


def as_po(catalogue: Messages) -> bytes:
    file = io.BytesIO()
    write_po(file, catalogue, width=120, include_lineno=False)
    return file.getvalue()


def as_mo(catalogue: Messages) -> bytes:
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def main() -> None:
    catalogue = updated(read_catalogue(), said())
    PO.parent.mkdir(parents=True, exist_ok=True)
    PO.write_bytes(as_po(catalogue))
    MO.write_bytes(as_mo(read_catalogue()))
    left = [message.id for message in catalogue if message.id and not message.string]
    print(f"{PO.relative_to(Path.cwd())}: {len(catalogue) - len(left)} of {len(catalogue)} messages are translated")


if __name__ == "__main__":
    main()
