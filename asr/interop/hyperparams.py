"""SpeechBrain's hyperparams.yaml: values, and sections that the toolkit would build objects from, read as plain data."""

import ast
import operator
import re
from pathlib import Path
from typing import Any, NamedTuple

from asr.errors import CheckpointError
from asr.foreign_bytes import listed, quoted, reading, shortened
from asr.interop.foreign import Settings
from asr.interop.plain_yaml import TAG

REFERENCE = re.compile(r"!(?:ref|copy) <(\w+)>")
NAMED = re.compile(r"<(\w+)>")
LONGEST = 200
"""Characters of a computation; recipes have a few dozen."""
DEEPEST = 20
"""References that lead to references."""
OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


class SavedModule(NamedTuple):
    """A module of the list that asr.ckpt was saved from."""

    place: str
    """Its number in the list, with which the names of its tensors begin."""
    values: dict
    """The section that describes it; empty where that is not known."""


class Recipe:
    """The settings of a model; references between them are resolved, and nothing is built."""

    def __init__(self, values: dict, path: Path):
        self.values, self.path = values, path
        self._numbers: dict[str, Any] = {}  # each is computed once, however often others refer to it

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """What `!ref <name>` refers to, sums and products of such, tuples written as text; everything else as it is."""
        if not isinstance(value, str):
            return value
        if depth > DEEPEST:
            raise CheckpointError(f"{self.path}: {quoted(value)} refers to itself")
        if reference := REFERENCE.fullmatch(value):
            found = self._named(reference[1], value)
            return found if isinstance(found, dict) else self.resolve(found, depth + 1)
        if value.startswith("!ref"):
            return self._computed(value, depth)
        if re.fullmatch(r"(!tuple )?\([\w\s,.()-]*\)", value):
            if len(value) > LONGEST:
                raise CheckpointError(f"{self.path}: {quoted(value)} is too long for a list of sizes")
            with reading(self.path, CheckpointError, f"{quoted(value)} is no list of numbers"):
                return ast.literal_eval(value.removeprefix("!tuple "))
        return value

    def _named(self, name: str, value: str) -> Any:
        if name not in self.values:
            raise CheckpointError(f"{self.path}: {shortened(value)} refers to nothing")
        return self.values[name]

    def _computed(self, value: str, depth: int) -> Any:
        """`!ref <a> // 4 * <b>`: a number, where it is made of numbers; else the text, which no setting of a model is."""
        if len(value) > LONGEST:
            raise CheckpointError(f"{self.path}: {value[:40]!r} … is too long for a computation")
        numbers = {name: self._number(name, value, depth + 1) for name in set(NAMED.findall(value))}
        if not all(isinstance(n, int | float) for n in numbers.values()):
            return value
        with reading(self.path, CheckpointError, f"{quoted(value)} cannot be computed; write its result in its place"):
            tree = ast.parse(NAMED.sub(lambda m: repr(numbers[m[1]]), value.removeprefix("!ref")).strip(), mode="eval")
            return _evaluate(tree.body)

    def _number(self, name: str, value: str, depth: int) -> Any:
        if name not in self._numbers:
            self._numbers[name] = self.resolve(self._named(name, value), depth)
        return self._numbers[name]

    def get(self, name: str, default: Any) -> Any:
        """A value of the top level."""
        return self.resolve(self.values.get(name, default))

    def sections(self, *kinds: str) -> dict[str, dict]:
        """The sections of the objects whose classes end like this, by name, with their values resolved."""
        found = {n: v for n, v in self.values.items() if isinstance(v, dict) and str(v.get(TAG, "")).endswith(kinds)}
        return {n: {key: self.resolve(value) for key, value in v.items() if key != TAG} for n, v in found.items()}

    def section(self, kind: str) -> Settings:
        """The arguments of the one object whose class ends like this."""
        found = self.sections(kind)
        if len(found) != 1:
            raise CheckpointError(f"{self.path}: {len(found)} sections are a {kind}, not one; is it from SpeechBrain?")
        ((name, values),) = found.items()
        return Settings(values, f"{self.path}: {listed([name])}")

    def parts(self) -> dict[str, SavedModule]:
        """cnn, transformer, seq_lin and ctc_lin, as they lie in the list of modules."""
        lists = [v[0] for v in self.values.values() if isinstance(v, list) and v and isinstance(v[0], list)]
        names = next(([REFERENCE.fullmatch(str(r)) for r in one] for one in lists), [])
        if not names or not all(names):
            return {
                name: SavedModule(str(i), {}) for i, name in enumerate(("cnn", "transformer", "seq_lin", "ctc_lin"))
            }
        places = {}
        for i, name in enumerate(match[1] for match in names):
            section = self.values.get(name)
            part = SavedModule(str(i), section if isinstance(section, dict) else {})
            kind = str(part.values.get(TAG, ""))
            role = {"ConvolutionFrontEnd": "cnn", "TransformerASR": "transformer"}.get(kind.rpartition(".")[2])
            role = role or ("ctc_lin" if "ctc" in name.lower() else "seq_lin")
            if role in places:
                raise CheckpointError(
                    f"{self.path}: the list of modules holds {listed([name])}, for which there is no use"
                )
            places[role] = part
        if missing := {"cnn", "transformer", "seq_lin"} - places.keys():
            raise CheckpointError(f"{self.path}: the list of modules lacks {', '.join(sorted(missing))}")
        return places


def _evaluate(node: ast.AST) -> int | float:
    """The value of an expression of numbers; ValueError for anything else in it."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_evaluate(node.left), _evaluate(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand)
    raise ValueError(f"{type(node).__name__} is no arithmetic")
