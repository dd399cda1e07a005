"""Results, written and read. Pure functions; `schemas/result.schema.json` is the contract."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pybase64

from worker.contract.categories import categories_from_json, categories_to_json
from worker.contract.copied_headers import copied_headers
from worker.contract.headers import (
    CONTENT_TYPE,
    CORRELATION_ID,
    RESULT_ID,
    SOURCE_OFFSET,
    SOURCE_PARTITION,
    SOURCE_TIMESTAMP,
    SOURCE_TOPIC,
    source_headers,
)
from worker.contract.jobs import Category, ModelIdentity, Outcome
from worker.contract.records import Message, Record
from worker.contract.text import bounded_text
from worker.errors import Failure

__all__ = [
    "Result",
    "error_fields",
    "outcome_fields",
    "read_result",
    "result_message",
    "result_source",
    "without_copies",
    "without_picture",
]

SUCCESS = (0, "Success")
"""`errorCode` and `errorMsg` of a job that was done."""

_OWN_HEADERS = frozenset(
    {CONTENT_TYPE, RESULT_ID, SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_TIMESTAMP}
)


def error_fields(code: int, message: str) -> dict[str, object]:
    """Make the two fields that say how something ended.

    Returns:
        `errorCode` and `errorMsg`, the latter of bounded length and always valid UTF-8.
    """
    return {"errorCode": code, "errorMsg": bounded_text(message)}


_DONE = error_fields(*SUCCESS)


def outcome_fields(outcome: Outcome) -> dict[str, object]:
    """Make the fields for the outcome of a job, which are the same over Kafka and over HTTP.

    Returns:
        `errorCode`, `errorMsg` and, for a success, `result` with `categories` and, if there is a
        picture, `image` in Base64.
    """
    if isinstance(outcome, Failure):
        return error_fields(outcome.status, outcome.message)
    result: dict[str, object] = {"categories": categories_to_json(outcome.categories)}
    if outcome.picture is not None:
        result["image"] = pybase64.b64encode_as_string(outcome.picture)
    return {**_DONE, "result": result}


def result_message(
    record: Record, job_id: str | None, outcome: Outcome, model: ModelIdentity
) -> Message:
    """Make the message for the results topic, under the record's own key.

    Args:
        record: where the job came from; its id is the result's `id`, the same for every delivery.
        job_id: the job's own name; None if it has none, and the record's id is used.
        outcome: how the job ended.
        model: what computed it, or would have.

    Returns:
        A JSON message with the headers that say where the record is, and those copied from the job.
    """
    name = record.id
    value = {
        "id": name,
        "jobId": job_id or name,
        **outcome_fields(outcome),
        "model": {"name": model.name, "digest": model.digest, "backend": model.backend},
    }
    headers = (
        (CONTENT_TYPE, b"application/json"),
        (RESULT_ID, name.encode()),
        *source_headers(record),
        *copied_headers(record.headers),
    )
    return Message(record.key, orjson.dumps(value), headers)


def without_picture(message: Message) -> Message:
    """Make a result smaller by its picture.

    For a result that is too large for its topic. That is rare: parsing the message again costs less
    than keeping the outcome of every job until its result is acknowledged.

    Returns:
        The result with `imageOmitted: true` in place of its picture; `message` itself if it has no
        picture.
    """
    body = orjson.loads(message.value or b"null")
    if not body or "image" not in body.get("result", {}):
        return message
    del body["result"]["image"]
    body["result"]["imageOmitted"] = True
    return replace(message, value=orjson.dumps(body))


def without_copies(message: Message) -> Message:
    """Make a result smaller by its key and by all headers that were copied from the job.

    For a result that is too large because of them.

    Returns:
        A message with the same value and the worker's own headers; a failure has a few KiB at most.
    """
    headers = tuple(header for header in message.headers if header[0] in _OWN_HEADERS)
    return Message(None, message.value, headers)


@dataclass(frozen=True, slots=True)
class Result:
    """The contents of a result that was read.

    Attributes:
        code: `errorCode`: 0, or the HTTP status that says how the job failed.
        message: `errorMsg`.
        categories: best first; empty for a failure.
        picture: a JPEG file's bytes, or None if the result has none.
        picture_omitted: whether the picture was left out: the topic takes no message so large.
        model: what computed the result; None if it does not say so, as over HTTP.
    """

    code: int
    message: str
    categories: tuple[Category, ...] = ()
    picture: bytes | None = None
    picture_omitted: bool = False
    model: ModelIdentity | None = None


def result_source(record: Record) -> tuple[str | None, str | None]:
    """Read from a result's headers which job it belongs to.

    Returns:
        The job's `correlation-id`, and the id of the job's record. Each is None if the header is
        missing; the first is, if the worker had to leave out copied headers (`without_copies`).
    """
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    return headers.get(CORRELATION_ID), headers.get(RESULT_ID)


def read_result(value: bytes | None) -> Result:
    """Read the value of a result. Other programs may write to the topic: nothing in it is trusted.

    Returns:
        What the result says, in fields of the right types.

    Raises:
        ValueError: it does not follow the schema.
    """
    try:
        return _read_result(orjson.loads(value or b""))
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"its result does not follow the schema: {error!r}") from error


def _read_result(body: Mapping[str, Any]) -> Result:
    code, message = body["errorCode"], body["errorMsg"]
    if type(code) is not int or not isinstance(message, str):  # a bool is an int too
        raise TypeError("errorCode or errorMsg has a wrong type")
    if code != SUCCESS[0]:
        return Result(code, message)
    result = body["result"]
    categories = categories_from_json(result["categories"])
    return Result(
        code,
        message,
        categories,
        _read_picture(result.get("image")),
        result.get("imageOmitted") is True,
        _read_model(body.get("model")),
    )


def _read_picture(image: object) -> bytes | None:
    if image is None:
        return None
    if not isinstance(image, str):
        raise TypeError("result.image is no text")
    try:
        return pybase64.b64decode(image, validate=True)
    except binascii.Error as error:
        raise ValueError(f"result.image is not Base64: {error}") from error


def _read_model(model: object) -> ModelIdentity | None:
    if not isinstance(model, Mapping):
        return None
    fields = [model.get(name) for name in ("name", "digest", "backend")]
    texts = [each for each in fields if isinstance(each, str)]
    return ModelIdentity(*texts) if len(texts) == len(fields) else None
