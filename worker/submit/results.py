"""What became of a submitted job. Results come from elsewhere: nothing about them is trusted."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pybase64

from worker.contract.jobs import Category
from worker.submit.items import Item

__all__ = ["Answer", "Result", "read_result"]


@dataclass(frozen=True, slots=True)
class Result:
    """A result's contents.

    Attributes:
        code: 0, or the status that says how the job failed.
        picture: a JPEG file's bytes, or None when there is none.
    """

    code: int
    message: str
    categories: tuple[Category, ...] = ()
    picture: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one item.

    Attributes:
        number: its place in the submission, from 1.
        record_id: `topic-partition-offset` of its job; None if it was not sent or is not known.
        code: the result's `errorCode`, 0 for a success; None when there is no result.
        error: what went wrong, or None.
        categories: best first; empty on failure.
        latency: seconds from sending the job to its result; None when there is no result.
        picture: where the result's picture was saved, or None.
    """

    number: int
    item: Item
    record_id: str | None = None
    code: int | None = None
    error: str | None = None
    categories: tuple[Category, ...] = ()
    latency: float | None = None
    picture: Path | None = None


def read_result(value: bytes | None) -> Result:
    """The contents of a result message, by `schemas/result.schema.json`.

    Raises:
        ValueError: it does not follow the schema.
    """
    try:
        return _result(orjson.loads(value or b""))
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"its result does not follow the schema: {error!r}") from error


def _result(body: Mapping[str, Any]) -> Result:
    code, message = body["errorCode"], body["errorMsg"]
    if not isinstance(code, int) or not isinstance(message, str):
        raise TypeError("errorCode or errorMsg has a wrong type")
    return _success(body["result"], message) if code == 0 else Result(code, message)


def _success(result: Mapping[str, Any], message: str) -> Result:
    categories = tuple(
        Category(int(each["id"]), str(each["name"]), float(each["score"]))
        for each in result["categories"]
    )
    return Result(0, message, categories, _picture(result.get("image")))


def _picture(image: object) -> bytes | None:
    if image is None:
        return None
    if not isinstance(image, str):
        raise TypeError("result.image is no text")
    try:
        return pybase64.b64decode(image, validate=True)
    except binascii.Error as error:
        raise ValueError(f"result.image is not Base64: {error}") from error
