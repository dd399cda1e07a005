"""Tests that documents name as proof exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.paths import ROOT

NAMED = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
DOCUMENTS = ("SECURITY.md", "docs/reliability.md")


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_bytes())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_is_named_exists(document: str) -> None:
    named = NAMED.findall((ROOT / document).read_text("utf-8"))
    assert len(named) > 10
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in functions_of(path)
    ]
    assert missing == []


def test_every_guarantee_has_a_proof() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = re.findall(r"^\| (\*\*.+?\*\*).*\|(.*)\|$", text, re.MULTILINE)
    assert len(rows) > 10
    assert [guarantee for guarantee, proof in rows if not NAMED.search(proof)] == []
