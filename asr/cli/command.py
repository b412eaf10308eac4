"""What all commands have in common beyond Typer: an empty name is not taken for the folder one is in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand

MODELS = ("model", "lm", "init", "tokens")
"""Texts that name a file or a folder, or a model by a name of its own."""
EMPTY = {
    (True, True): "is empty; give the name of a file or a folder (. is the one you are in)",
    (True, False): "is empty; give the name of a file or a folder (. is the one you are in), or leave it out",
    (False, True): "is empty; give a name",
    (False, False): "is empty; give a name, or leave it out",
}
"""By whether a path is meant, and whether it must be there."""
TEXT = "is empty; give a file of the text, or the text itself"


class Command(TyperCommand):
    """A command that refuses an empty name, as a shell makes of a variable that is not set: `Path("")` is a folder, the one
    that the user is in."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        given = self.make_parser(ctx).parse_args(list(args))[0]
        kinds = get_type_hints(self.callback)
        for parameter in () if given.get("help") else self.params:
            value, is_path = given.get(parameter.name), _holds_paths(kinds.get(parameter.name))
            names = is_path or parameter.name in MODELS or parameter.param_type_name == "argument"
            if names and "" in (value if isinstance(value, list | tuple) else [value]):
                hint = parameter.name.upper() if parameter.param_type_name == "argument" else None
                told = TEXT if parameter.name == "text" else EMPTY[is_path, parameter.required]
                raise typer.BadParameter(told, ctx=ctx, param=parameter, param_hint=hint)
        return super().parse_args(ctx, args)


def _holds_paths(kind: Any) -> bool:
    return Path in (kind, *get_args(kind))


class Commands(typer.Typer):
    """A group of such commands."""

    def command(self, name: str | None = None, *, cls: type[TyperCommand] = Command, **others: Any) -> Callable:
        return super().command(name, cls=cls, **others)
