"""Help and wrong usage in the language of the person who reads them: what Typer writes, in Chinese."""

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import typer

from asr.language import CHINESE, language, translated
from asr.printable import columns, printable

OF_TYPER = (
    "Try '{command}' for help.",
    "Invalid value for {option}: {reason}",
    "Invalid value: {reason}",
    "Missing argument {name}.",
    "Missing option {name}.",
    "Missing command.",
    "No such option: {option}",
    "{message} (Possible options: {options})",
    "No such command {name}.",
    "No such command {name}. Did you mean {suggestions}?",
    "Option {option} requires an argument.",
    "Option {option} does not take a value.",
    "Got unexpected extra argument(s) ({arguments})",
    "Got unexpected extra argument ({arguments})",
    "Got unexpected extra arguments ({arguments})",
    "{value} is not in the range {range}.",
    "{value} is not a valid {kind}.",
    "Value {value} is not a valid {kind}.",
    "{value} is not a valid integer.",
    "{value} is not a valid float.",
    "Input should be greater than or equal to {least}",
    "Input should be less than or equal to {most}",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid number, unable to parse string as a number",
    "default: {default}",
    "env var: {name}",
    "Show this message and exit.",
)
"""What Typer says, of its own, for the catalogue."""
HEADINGS = {"Usage: ": "用法：", "Arguments": "参数", "Options": "选项", "Commands": "命令", "required": "必需"}
"""Single words of Typer's."""
METAVARS = {"[OPTIONS]": "[选项]", "COMMAND": "命令", "[ARGS]": "[参数]"}
"""What stands behind a command's name."""
OPENING, CLOSING = "（《“‘【［", "，。；：、！？）》”’】］…"
"""Marks that end no line, and marks that begin none."""
PIECE = re.compile(r"\s+|[^\s\u2e80-\u9fff\uff00-\uffef\u2014\u2018-\u201d\u2026]+|.")
"""What is not parted where a line ends: a word, a Chinese character."""


def run_command(command: Any) -> NoReturn:
    """Runs the command line of Typer; help and wrong usage are in the language of the environment."""
    if language() != CHINESE:
        command(prog_name="asr")
    in_chinese(command)
    try:
        status = command.main(prog_name="asr", standalone_mode=False)
    except typer.BadParameter.__mro__[2] as error:  # ClickException, in whichever module this Typer has it
        show(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def show(error: Any) -> None:
    """Wrong usage on stderr, as Typer does it."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        print(message, file=sys.stderr)
        return
    if context := getattr(error, "ctx", None):
        print(f"{context.get_usage()}\n", file=sys.stderr)
        print(translated(f"Try '{context.command_path} --help' for help."), file=sys.stderr)
    print(printable(f"错误：{translated(message)}"), file=sys.stderr)


def in_chinese(command: Any) -> None:
    """Has a command and those below it write their help in Chinese."""
    if not issubclass(command.context_class.formatter_class, ChineseHelp):
        formatter = type("Help", (ChineseHelp, command.context_class.formatter_class), {})
        command.context_class = type("Context", (command.context_class,), {"formatter_class": formatter})
    first = next(paragraphs(command.help or ""), "")
    if (chinese := translated(first)) != first:
        command.short_help = chinese.partition("。")[0] + "。"
    for below in getattr(command, "commands", {}).values():
        in_chinese(below)


class ChineseHelp:
    """Comes before the formatter of Typer, which parts lines at spaces only and counts characters."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        for english, chinese in METAVARS.items():
            args = args.replace(english, chinese)
        super().write_usage(prog, args, HEADINGS["Usage: "])

    def write_heading(self, heading: str) -> None:
        self.write(f"{' ' * self.current_indent}{HEADINGS.get(heading, heading)}：\n")

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        written = (wrapped(translated(each), self.width - len(indent)) for each in paragraphs(text))
        self.write("\n\n".join("\n".join(indent + line for line in lines) for lines in written) + "\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        column = min(max(columns(first) for first, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for first, second in rows:
            lines = wrapped(described(second), max(10, self.width - column - len(indent)))
            beside = columns(first) <= column - col_spacing
            start = (
                indent + first + " " * (column - columns(first))
                if beside
                else f"{indent}{first}\n{indent}{' ' * column}"
            )
            self.write(start.rstrip(" ") if not lines else start)
            self.write(f"\n{indent}{' ' * column}".join(lines) + "\n")


def described(text: str) -> str:
    """What stands beside an option: its help, and in brackets what Typer adds."""
    about, bracket, extra = text.rpartition("  [") if text.endswith("]") else (text, "", "")
    if not bracket and text.startswith("[") and text.endswith("]"):
        about, bracket, extra = "", "  [", text[1:]
    about = " ".join(map(translated, paragraphs(about)))
    if not bracket:
        return about
    parts = (HEADINGS.get(part, translated(part)) for part in extra.removesuffix("]").split("; "))
    return f"{about}［{'；'.join(parts)}］"


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a text, each on one line."""
    for paragraph in re.split(r"\n\s*\n", text):
        if words := paragraph.split():
            yield " ".join(words)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many columns, of which a Chinese character takes two. No mark begins a line that closes something."""
    lines, pieces = [""], [piece if not piece.isspace() else " " for piece in PIECE.findall(text)]
    at = 0
    while at < len(pieces):
        end = at + 1
        while end < len(pieces) and (pieces[end] in CLOSING or pieces[end - 1] in OPENING):
            end += 1
        together = "".join(pieces[at:end])
        if lines[-1] and columns(lines[-1] + together.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += together if lines[-1] else together.lstrip()
        at = end
    return [line for line in lines if line.strip()]
