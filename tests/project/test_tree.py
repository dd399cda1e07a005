"""Tests are where a reader looks for them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UNIT = ROOT / "tests/unit"
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def subjects(test: Path) -> list[str]:
    """The modules or packages that a file of unit tests may be about, by its place and name.

    `test_fetch_hostile.py` is about `fetch.py`, `test_fetch.py` as well.
    """
    words = test.stem.removeprefix("test_").split("_")
    directory = ROOT / "worker" / test.parent.relative_to(UNIT)
    names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    return [
        name
        for name in names
        if (directory / f"{name}.py").is_file() or (directory / name / "__init__.py").is_file()
    ]


@pytest.mark.parametrize("test", sorted(UNIT.rglob("test_*.py")), ids=lambda path: path.stem)
def test_a_file_of_unit_tests_is_named_after_its_module(test: Path) -> None:
    assert subjects(test), (
        f"{test.relative_to(ROOT)} mirrors no module of worker/: name it after the module that it "
        "tests, with a suffix if there are several"
    )


def test_helpers_are_in_support() -> None:
    imports = {
        (path.relative_to(ROOT).as_posix(), node.module)
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module is not None
    }
    elsewhere = {
        (path, module)
        for path, module in imports
        if module.startswith("tests.") and not module.startswith("tests.support.")
    }
    assert elsewhere == set()


def test_make_runs_every_directory_of_tests() -> None:
    with_tests = {path.relative_to(ROOT).parts[1] for path in (ROOT / "tests").rglob("test_*.py")}
    variables = dict(
        line.split(" := ", 1)
        for line in (ROOT / "Makefile").read_text("utf-8").splitlines()
        if " := " in line
    )
    run = " ".join(variables[f"{kind}_TESTS"] for kind in ("PURE", "OTHER", "DEPLOY")).split()
    assert set(run) == {f"tests/{name}" for name in with_tests}
