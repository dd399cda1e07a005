"""Results are read as the schema says, and refused when they do not follow it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import GOLDEN
from worker.contract.jobs import Category
from worker.submit.results import read_result

GOOD = {
    "errorCode": 0,
    "errorMsg": "Success",
    "result": {"categories": [{"id": 5, "name": "Rabbit", "score": 0.93}]},
}


def message(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def test_a_success() -> None:
    result = read_result(message())
    assert (result.code, result.picture) == (0, None)
    assert result.categories == (Category(5, "Rabbit", 0.93),)


def test_a_success_without_a_category() -> None:
    result = read_result(message(result={"categories": []}))
    assert (result.code, result.categories) == (0, ())


def test_a_picture() -> None:
    result = read_result(message(result={**GOOD["result"], "image": "/9j/4A=="}))  # type: ignore[dict-item]
    assert result.picture == b"\xff\xd8\xff\xe0"


def test_a_failure() -> None:
    result = read_result(b'{"errorCode": 404, "errorMsg": "there is no image at the URL"}')
    assert (result.code, result.message) == (404, "there is no image at the URL")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("result-*.json")), ids=lambda path: path.stem)
def test_golden_results(path: Path) -> None:
    golden = json.loads(path.read_text("utf-8"))["payload"]
    result = read_result(json.dumps(golden).encode())
    assert result.code == golden["errorCode"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"5",
        b"{}",
        message(errorCode="0"),
        message(errorMsg=None),
        message(result=None),
        message(result={"categories": [{"id": 1}]}),
        message(result={"categories": 5}),
        message(result={**GOOD["result"], "image": "not Base64!"}),  # type: ignore[dict-item]
        message(result={**GOOD["result"], "image": 5}),  # type: ignore[dict-item]
    ],
)
def test_anything_else_is_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match="does not follow the schema"):
        read_result(value)
