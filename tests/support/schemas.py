"""The schemas of the repository, checked against their meta-schema, and the golden messages."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.paths import ROOT

SCHEMAS = ROOT / "schemas"
GOLDEN = ROOT / "tests/data/golden"


@cache
def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8"))
    return document


@cache
def validator(name: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema(name))
    return Draft202012Validator(schema(name))


@cache
def headers_validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name)["$defs"]["headers"])


def golden(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return document
