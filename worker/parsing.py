"""From a record to a job: the one place that reads what producers send.

Follows `schemas/job.schema.json`. Unknown fields are ignored, null stands for absent, of a repeated
field the last one counts; a wrong field is refused with a sentence that says what to send instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import orjson

from worker.errors import JobError, Reason, Stage
from worker.jobs import EncodedImage, Headers, ImageSource, Job, RawImage, Record, UrlImage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_DEADLINE_MS",
    "MAX_JOB_ID",
    "MAX_URL",
    "OPTION_HEADERS",
    "decode_json",
    "header_name",
    "job_from_object",
    "parse_job",
    "recover_job_id",
    "text_headers",
]

MAX_URL = 8192
"""Longest URL accepted, in characters: more than browsers and proxies pass on."""

MAX_JOB_ID = 512
"""Longest job id accepted, in characters; it is copied into every message about the job."""

MAX_DEADLINE_MS = 253_402_300_799_999
"""The end of the year 9999: beyond it somebody sent micro- or nanoseconds."""

OPTION_HEADERS = frozenset({"jobid", "topk", "visualize", "deadlinems"})
"""Headers that carry a raw image's options, as `header_name` spells them."""

_MAX_SHOWN = 80
_ACCEPTED = "use application/json, or image/jpeg|png|webp|bmp for a raw image"
_SEND_UTF8 = "send JSON in UTF-8, or set the header content-type: image/jpeg if this is a raw image"


def header_name(name: str) -> str:
    """A header's name in lower case without `-` and `_`.

    `top-k`, `topK` and `TOP_K` are one option: spelling differs between client libraries.
    """
    return name.lower().replace("-", "").replace("_", "")


def text_headers(headers: Headers) -> dict[str, str]:
    """Headers as text under their `header_name`; the last of a name wins.

    Bytes that are not UTF-8 are replaced, so that no header can fail a job by itself.
    """
    return {
        header_name(name): (value or b"").decode("utf-8", "replace").strip()
        for name, value in headers
    }


def parse_job(record: Record) -> Job:
    """The job that `record` carries: a JSON document, or a raw image announced by its content type.

    CloudEvents binary mode is either of these with `ce_*` headers: the content type is in
    `content-type` (or, from some producers, `ce_datacontenttype`), and `ce_id` names the job when
    nothing else does.

    Raises:
        JobError: the value or a header does not follow the contract.
    """
    headers = text_headers(record.headers)
    send = "send a JSON job or an encoded image"
    if not record.readable:
        raise JobError(
            Reason.UNREADABLE,
            "the record has a header whose name is not UTF-8; send names in UTF-8 or none",
        )
    if record.value is None:
        raise JobError(Reason.NULL_VALUE, f"the record has a null value; {send}")
    if not record.value:
        raise JobError(Reason.EMPTY_VALUE, f"the record has an empty value; {send}")
    content_type = _content_type(headers)
    if content_type.startswith("image/"):
        return _raw_job(record.value, headers)
    if content_type.startswith("application/cloudevents"):
        raise JobError(
            Reason.CONTENT_TYPE,
            "CloudEvents structured mode is not accepted; use binary mode: "
            "the job as the value, the event's attributes as ce_ headers",
        )
    if content_type in ("", "application/json", "text/json") or content_type.endswith("+json"):
        body = decode_json(record.value, "value", _SEND_UTF8)
        return job_from_object(body, default_id=_header_id(headers))
    raise JobError(
        Reason.CONTENT_TYPE,
        f"content-type {content_type[:_MAX_SHOWN]!r} is not accepted; {_ACCEPTED}",
    )


def job_from_object(body: object, *, default_id: str | None = None) -> Job:
    """The job in a decoded JSON document; `default_id` names it when it has no `jobId`.

    Raises:
        JobError: it is not an object, or a field is missing or wrong.
    """
    if not isinstance(body, dict):
        raise JobError(
            Reason.NOT_OBJECT,
            f"the job is {_kind(body)}; send a JSON object with an 'image' field",
        )
    params = body.get("inferenceParams")
    if params is not None and not isinstance(params, dict):
        raise _wrong("field 'inferenceParams'", "an object", params)
    nested = _top_k("field 'inferenceParams.topK'", (params or {}).get("topK"))
    flat = _top_k("field 'topk'", body.get("topk"))
    return Job(
        image=_image(body),
        job_id=_job_id("field 'jobId'", body.get("jobId")) or _job_id("header id", default_id),
        top_k=flat if nested is None else nested,
        visualize=_visualize("field 'visualize'", body.get("visualize")),
        deadline=_deadline("field 'deadlineMs'", body.get("deadlineMs")),
    )


def recover_job_id(record: Record) -> str | None:
    """The job id in a record that `parse_job` refused, or None: failures are answered by name too.

    Reads the JSON value's `jobId`, then the `job-id` and `ce_id` headers, and takes only an id that
    `parse_job` would have taken. Raises nothing.
    """
    headers = text_headers(record.headers)
    candidates: list[object] = [_header_id(headers)]
    if record.value and not _content_type(headers).startswith("image/"):
        try:
            body = orjson.loads(record.value)
        except orjson.JSONDecodeError:
            body = None
        if isinstance(body, dict):
            candidates.insert(0, body.get("jobId"))
    for candidate in candidates:
        if isinstance(candidate, str) and 0 < len(candidate) <= MAX_JOB_ID:
            return candidate
    return None


def _content_type(headers: Mapping[str, str]) -> str:
    declared = headers.get("contenttype") or headers.get("cedatacontenttype") or ""
    return declared.partition(";")[0].strip().lower()


def _header_id(headers: Mapping[str, str]) -> str | None:
    return headers.get("jobid") or headers.get("ceid") or None


def decode_json(value: bytes | bytearray, name: str, remedy: str) -> object:
    """The JSON document in `value`; messages call it `name`, and end on `remedy` if it is no text.

    Raises:
        JobError: it is not UTF-8, or not JSON.
    """
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if "Not enough memory" in str(error):
            raise JobError(
                Reason.UNAVAILABLE,
                f"the worker has no memory left for the {name}; try again later",
                transient=True,
                stage=Stage.PARSE,
            ) from error
        # orjson reports both faults as one error; only a failed job pays for telling them apart.
        try:
            value.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise JobError(
                Reason.NOT_UTF8,
                f"the {name} is not UTF-8 (byte {fault.start}); {remedy}",
            ) from fault
        raise JobError(Reason.NOT_JSON, f"the {name} is not JSON: {error}") from error


def _raw_job(value: bytes, headers: Mapping[str, str]) -> Job:
    return Job(
        image=RawImage(value),
        job_id=_job_id("header id", _header_id(headers)),
        top_k=_top_k("header 'top-k'", _option(headers, "topk")),
        visualize=_visualize("header 'visualize'", _option(headers, "visualize")),
        deadline=_deadline("header 'deadline-ms'", _option(headers, "deadlinems")),
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
    give = "give a URL, Base64 or a data: URI"
    image = body.get("image")
    if image is None:
        state = "null" if "image" in body else "missing"
        raise JobError(Reason.MISSING_FIELD, f"field 'image' is {state}: {give}")
    if not isinstance(image, str):
        raise _wrong("field 'image'", "a string (URL, Base64 or data: URI)", image)
    # A colon is in neither Base64 alphabet, and a scheme is short: no need to search megabytes.
    if "://" in image[:32]:
        if len(image) > MAX_URL:
            raise JobError(
                Reason.BAD_URL,
                f"the URL has {len(image)} characters; at most {MAX_URL} are accepted",
                stage=Stage.PARSE,
            )
        return UrlImage(image.strip())
    if not image.strip(" \t\r\n"):
        raise JobError(Reason.WRONG_FIELD, f"field 'image' is empty: {give}")
    return EncodedImage(image)


def _job_id(where: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(where, "a string", value)
    if len(value) > MAX_JOB_ID:
        raise JobError(
            Reason.WRONG_FIELD,
            f"{where} has {len(value)} characters; at most {MAX_JOB_ID} are accepted",
        )
    return value


def _top_k(where: str, value: object) -> int | None:
    if value is None:
        return None
    # JSON knows one kind of number: 5 and 5.0 are the same to it and to the schema.
    if not _is_number(value) or value < 1 or value % 1 != 0:
        raise _wrong(where, "a whole number from 1 up", value)
    return int(value)


def _visualize(where: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value


def _deadline(where: str, value: object) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value <= MAX_DEADLINE_MS:
        raise _wrong(where, "milliseconds since 1970-01-01 UTC", value)
    return value / 1000


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    names = {
        list: "an array",
        dict: "an object",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def _wrong(where: str, expected: str, got: object) -> JobError:
    # Scalars are shown as they came, long and nested values only by kind: messages stay one line.
    shown = _kind(got) if isinstance(got, list | dict) else _json(got)
    return JobError(Reason.WRONG_FIELD, f"{where} must be {expected}, not {shown}")


def _json(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
