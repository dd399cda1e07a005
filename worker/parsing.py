"""From a record to a job: the one place that reads what producers send.

Follows `schemas/job.schema.json`; unknown fields are ignored, wrong ones are refused with a sentence
that names them and says what to send instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from worker.errors import JobError, Reason
from worker.jobs import EncodedImage, Headers, ImageSource, Job, RawImage, Record, UrlImage

__all__ = ["MAX_JOB_ID", "MAX_URL", "job_from_object", "parse_job", "text_headers"]

MAX_URL = 8192
"""Longest URL accepted, in characters: more than browsers and proxies pass on."""

MAX_JOB_ID = 512
"""Longest job id accepted, in characters; it is copied into every message about the job."""

MAX_CONTENT_TYPE = 128


def text_headers(headers: Headers) -> dict[str, str]:
    """Headers as text under lower-case names without `-` and `_`; the last of a name wins.

    `top-k`, `topK` and `TOP_K` are one option: header spelling differs between client libraries.
    Bytes that are not UTF-8 are replaced, so that no header can fail a job by itself.
    """
    return {
        name.lower().replace("-", "").replace("_", ""): (value or b"").decode("utf-8", "replace").strip()
        for name, value in headers
    }


def parse_job(record: Record) -> Job:
    """The job that `record` carries: a JSON document, or a raw image announced by its content type.

    CloudEvents binary mode needs nothing of its own: its `content-type` header says which of the two
    the value is, and `ce_id` names the job when nothing else does.

    Raises:
        JobError: the value or a header does not follow the contract.
    """
    headers = text_headers(record.headers)
    if record.value is None:
        raise JobError(Reason.NULL_VALUE, "the record has a null value; send a JSON job or an encoded image")
    if not record.value:
        raise JobError(Reason.EMPTY_VALUE, "the record has an empty value; send a JSON job or an encoded image")
    content_type = headers.get("contenttype", "").partition(";")[0].strip().lower()
    if content_type.startswith("image/"):
        return _raw_job(record.value, headers)
    if content_type in ("", "application/json", "text/json") or content_type.endswith("+json"):
        return job_from_object(_decode_json(record.value), default_id=headers.get("ceid"))
    raise JobError(
        Reason.CONTENT_TYPE,
        f"content-type {content_type[:MAX_CONTENT_TYPE]!r} is not accepted; use application/json or image/jpeg|png|webp|bmp",
    )


def job_from_object(body: object, *, default_id: str | None = None) -> Job:
    """The job in a decoded JSON document; `default_id` names it when `jobId` is absent.

    Raises:
        JobError: it is not an object, or a field is missing or wrong.
    """
    if not isinstance(body, dict):
        raise JobError(Reason.NOT_OBJECT, f"the job is {_kind(body)}; send a JSON object with an 'image' field")
    params = body.get("inferenceParams")
    if params is not None and not isinstance(params, dict):
        raise _wrong("inferenceParams", "an object", params)
    nested = (params or {}).get("topK")
    top_k = _top_k("topk", body.get("topk")) if nested is None else _top_k("inferenceParams.topK", nested)
    return Job(
        image=_image(body),
        job_id=_job_id(body.get("jobId") or default_id),
        top_k=top_k,
        visualize=_visualize(body.get("visualize")),
        deadline=_deadline(body.get("deadlineMs")),
    )


def _decode_json(value: bytes) -> object:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        # orjson reports both faults as one error; only a failed job pays for telling them apart.
        try:
            value.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise JobError(
                Reason.NOT_UTF8,
                f"the value is not UTF-8 (byte {fault.start}); for a raw image set the header content-type: image/jpeg",
            ) from fault
        raise JobError(Reason.NOT_JSON, f"the value is not JSON: {error}") from error


def _raw_job(value: bytes, headers: Mapping[str, str]) -> Job:
    return Job(
        image=RawImage(value),
        job_id=_job_id(headers.get("jobid") or headers.get("ceid")),
        top_k=_top_k("top-k", _option(headers, "topk")),
        visualize=_visualize(_option(headers, "visualize")),
        deadline=_deadline(_option(headers, "deadlinems")),
    )


def _option(headers: Mapping[str, str], name: str) -> object:
    """A header read as the JSON value it spells, so that one set of checks serves both ways in."""
    text = headers.get(name)
    if text is None:
        return None
    try:
        return orjson.loads(text.lower())
    except orjson.JSONDecodeError:
        return text


def _image(body: Mapping[str, Any]) -> ImageSource:
    if "image" not in body:
        raise JobError(Reason.MISSING_FIELD, "field 'image' is missing: give a URL, Base64 or a data: URI")
    image = body["image"]
    if not isinstance(image, str):
        raise _wrong("image", "a string (URL, Base64 or data: URI)", image)
    if not image or image.isspace():
        raise JobError(Reason.WRONG_FIELD, "field 'image' is empty: give a URL, Base64 or a data: URI")
    # A colon is in neither Base64 alphabet, and a scheme is short: no need to search megabytes for it.
    if "://" in image[:32]:
        url = image.strip()
        if len(url) > MAX_URL:
            raise JobError(Reason.BAD_URL, f"the URL has {len(url)} characters; at most {MAX_URL} are accepted")
        return UrlImage(url)
    return EncodedImage(image)


def _job_id(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong("jobId", "a string", value)
    if len(value) > MAX_JOB_ID:
        raise JobError(
            Reason.WRONG_FIELD, f"field 'jobId' has {len(value)} characters; at most {MAX_JOB_ID} are accepted"
        )
    return value


def _top_k(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(name, "a whole number from 1 up", value)
    return value


def _visualize(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _wrong("visualize", "true or false", value)
    return value


def _deadline(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise _wrong("deadlineMs", "milliseconds since 1970-01-01 UTC", value)
    return value / 1000


def _kind(value: object) -> str:
    names = {list: "an array", dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _wrong(name: str, expected: str, got: object) -> JobError:
    # Scalars are shown as they came, long and nested values only by kind: messages stay one line.
    shown = _kind(got) if isinstance(got, list | dict) else repr(got)[:80]
    return JobError(Reason.WRONG_FIELD, f"field {name!r} must be {expected}, not {shown}")
