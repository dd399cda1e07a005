"""One source of time: whatever takes a clock takes the same kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import worker

ROOT = Path(worker.__file__).parent


def clocks() -> Iterator[tuple[str, str | None]]:
    """Where a parameter or a field is called a clock, and what it is annotated with."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.arg(arg="clock") | ast.AnnAssign(target=ast.Name(id="clock")):
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    kind = node.annotation
                    yield where, None if kind is None else ast.unparse(kind)


def defaults() -> Iterator[tuple[str, str]]:
    """Every parameter's default that is a name with dots, such as `time.monotonic`."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arguments):
                for default in (*node.defaults, *node.kw_defaults):
                    if isinstance(default, ast.Attribute):
                        yield f"{path.relative_to(ROOT)}:{default.lineno}", ast.unparse(default)


def test_whatever_takes_a_clock_takes_the_one_kind() -> None:
    found = dict(clocks())
    assert len(found) > 10
    assert {where: kind for where, kind in found.items() if kind != "Clock"} == {}


def test_nothing_takes_a_function_of_the_time_in_its_place() -> None:
    assert {where: default for where, default in defaults() if default.startswith("time.")} == {}
