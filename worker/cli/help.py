"""Help that keeps every option name, file name and example whole, in terminals of any width.

So are errors of usage. Typer's own tables cut names off, click's formatter breaks lines at the
hyphens of options, and a terminal breaks long lines within words.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from worker.cli.options import EXIT_FAILED, EXIT_USAGE

__all__ = ["Command", "Group", "UsageError", "canonical_name", "usage_error_text"]

UsageError: Any = typer.BadParameter.__base__
"""What a wrong command line raises; of click's errors typer exports only some that follow it."""

WIDEST = 100
"""Columns above which lines become hard to read."""

DESCRIPTIONS = 28
"""Column at which descriptions begin; in narrow terminals they are below the names."""

NARROW = 72
"""Columns of a terminal below which it is narrow."""

LONGEST_SUMMARY = 400
"""Characters of a command's first sentence in the list of commands: none has so many."""

_OTHER_NAMES = {"topk": "top-k", "save-path": "save-dir"}


_UNKNOWN_CHOICE = re.compile(r"'(?P<given>.*)' is not one of (?P<choices>'.*')\.", re.DOTALL)


def canonical_name(name: str) -> str:
    """Translate any name of an option to its own: PaddleX writes `--save_path` and `--topk`.

    Args:
        name: without its dashes.

    Returns:
        The option's own name, without its dashes.
    """
    hyphened = name.replace("_", "-")
    return _OTHER_NAMES.get(hyphened, hyphened)


_EXTRA = re.compile(r"Got unexpected extra argument\(s\) \((.*)\)", re.DOTALL)
"""click's sentence."""


class Command(TyperCommand):
    """A command whose help has groups of options and is wrapped between words alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own click
        """Parse the command line; errors name the nearest choice, and data without `--data`.

        Returns:
            What is left of it.
        """
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            error.message = _with_nearest(error.message)
            extra = _EXTRA.fullmatch(error.message)
            # More than one are those of a shell's pattern, say.
            if extra and extra[1] in given and ctx.params.get("data", "") is None:
                error.message += f": did you mean --data {shlex.quote(extra[1])}?"
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer's own click
        """Collect the words of the usage line.

        Returns:
            The words, without the braces in which typer puts required arguments.
        """
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own click
        """Write the whole help."""
        formatter.write(_help(self, ctx))


class Group(TyperGroup):
    """A group of commands with the same kind of help; it lists what its commands are for."""

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as typer has it
        """Run the command line; on a terminal an error of usage is wrapped between words."""
        if not options.get("standalone_mode", True) or not sys.stderr.isatty():
            return super().main(*args, **options)
        options["standalone_mode"] = False
        try:
            status = super().main(*args, **options)
        except UsageError as error:
            sys.stderr.write(usage_error_text(error, shutil.get_terminal_size().columns))
            status = EXIT_USAGE
        except typer.Abort:
            status = EXIT_FAILED
        sys.exit(status)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's own click
        """Find a command; what is given to a group of one command alone is likely meant for it."""
        try:
            return super().resolve_command(ctx, args)
        except UsageError as error:
            names = self.list_commands(ctx)
            if len(names) == 1 and "Did you mean" not in error.message:
                words = " ".join(map(shlex.quote, args))
                error.message += f" Did you mean '{ctx.command_path} {names[0]} {words}'?"
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own click
        """Write the whole help."""
        formatter.write(_help(self, ctx))


def _with_nearest(message: str) -> str:
    """Take out what typer's library of types says before a message, and name the nearest choice."""
    from difflib import get_close_matches  # noqa: PLC0415 - errors are rare

    message = message.removeprefix("Value error, ")
    if (unknown := _UNKNOWN_CHOICE.fullmatch(message)) is None:
        return message
    near = get_close_matches(unknown["given"], re.findall("'([^']*)'", unknown["choices"]), 1)
    return f"{message} Did you mean '{near[0]}'?" if near else message


def usage_error_text(error: Any, width: int) -> str:  # noqa: ANN401 - typer's own click
    """Describe what is wrong with a command line.

    Args:
        error: a `UsageError`.
        width: of a line, in terminal cells.

    Returns:
        Lines with the usage, where the help is, and what is wrong.
    """
    from worker.cli.rows import wrap_lines  # noqa: PLC0415 - errors are rare

    text = io.StringIO()
    error.show(text)
    return f"{wrap_lines(text.getvalue(), width)}\n"


def _help(command: Command | Group, ctx: Any) -> str:  # noqa: ANN401
    width = min(shutil.get_terminal_size().columns, WIDEST) - 1
    lines = [*_wrapped(" ".join(command.collect_usage_pieces(ctx)), width, _usage(ctx), "  ")]
    for paragraph in (command.help or "").split("\n\n"):
        lines += ("", *_paragraph(paragraph, width))
    for name, rows in _sections(command, ctx).items():
        lines += ("", typer.style(f"{name}:", bold=True), *_definitions(rows, width))
    if command.epilog:
        lines += ("", *_wrapped(command.epilog, width))
    return "\n".join(lines)


def _usage(ctx: Any) -> str:  # noqa: ANN401
    return f"Usage: {ctx.command_path} "


def _sections(command: Command | Group, ctx: Any) -> dict[str, list[tuple[str, str]]]:  # noqa: ANN401
    """Names and descriptions of arguments, options and commands, by the name of their group."""
    sections: dict[str, list[tuple[str, str]]] = {}
    ungrouped: list[tuple[str, str]] = []
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        names, text = record
        group = getattr(param, "rich_help_panel", None)
        if param.param_type_name == "argument":
            # The record's name has the type behind it, which the description says better.
            names = param.metavar or names
            group = group or "Arguments"
        (sections.setdefault(group, []) if group else ungrouped).append((names, text))
    if isinstance(command, Group):
        listed = ((name, command.get_command(ctx, name)) for name in command.list_commands(ctx))
        sections["Commands"] = [
            (name, each.get_short_help_str(limit=LONGEST_SUMMARY))
            for name, each in listed
            if each is not None and not each.hidden
        ]
    return sections | {"Options": ungrouped}


def _paragraph(text: str, width: int) -> Iterator[str]:
    """Wrapped, unless a line is indented: that is an example, to be copied as it is."""
    if "\n " in text:
        yield from text.splitlines()
    else:
        yield from _wrapped(text, width)


def _definitions(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    start = DESCRIPTIONS if width >= NARROW else 6
    for names, text in rows:
        first = f"  {names}"
        if not text or len(first) > start - 2:
            yield first
            first = ""
        yield from _wrapped(text, width, f"{first:<{start}}", " " * start)


def _wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
        break_long_words=False,
    )
