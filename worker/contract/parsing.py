"""From a record to a job: the one place that reads what producers send.

Follows `schemas/job.schema.json`. Unknown fields are ignored, null means absent, and of a repeated
field the last one counts. A wrong field is refused with a sentence that says what to send instead,
and so are two spellings of one option with different values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.contract.documents import read_document, read_job_document
from worker.contract.headers import (
    CE_DATA_CONTENT_TYPE,
    CE_ID,
    CONTENT_TYPE,
    DEADLINE_MS,
    JOB_ID,
    TOP_K,
    VISUALIZE,
    fold_name,
    text_headers,
    text_pairs,
)
from worker.contract.job_options import (
    MAX_JOB_ID,
    Given,
    given_options,
    json_type,
    read_deadline,
    read_job_id,
    read_top_k,
    read_visualize,
    wrong_type,
)
from worker.contract.jobs import EncodedImage, ImageSource, Job, RawImage, UrlImage
from worker.errors import JobError, Reason, Stage
from worker.image_formats import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.contract.records import Record

__all__ = ["MAX_URL", "job_from_object", "parse_job", "raw_job", "recover_job_id"]

MAX_URL = 8192
"""Longest URL accepted, in characters: more than browsers and proxies pass on."""

_MAX_SHOWN = 80
# As `text_headers` has them.
_CONTENT_TYPE, _CE_DATA_CONTENT_TYPE = fold_name(CONTENT_TYPE), fold_name(CE_DATA_CONTENT_TYPE)
_JOB_ID, _CE_ID = fold_name(JOB_ID), fold_name(CE_ID)
_SUBTYPES = "|".join(media_type.removeprefix("image/") for media_type in MEDIA_TYPES)
_ACCEPTED = f"use application/json, or image/{_SUBTYPES} for a raw image"
_FRAMING = 5  # Confluent's serializers put a zero byte and a schema's id of four bytes in front
_SEND_UTF8 = "send JSON in UTF-8, or set the header content-type: image/jpeg if this is a raw image"


def parse_job(record: Record) -> Job:
    """Parse a record: its value is a JSON document, or an image if the content type says so.

    In CloudEvents' binary mode a record has `ce_*` headers as well: the content type is in
    `content-type` (or, from some producers, in `ce_datacontenttype`), and `ce_id` names the job if
    no other header or field does.

    Returns:
        The job, with checked options; its image is neither fetched nor decoded yet.

    Raises:
        JobError: the value or a header does not follow the contract.
    """
    headers = text_headers(record.headers)
    send = "send a JSON job or an encoded image"
    if record.unreadable is not None:
        raise JobError(Reason.UNREADABLE, record.unreadable)
    if record.value is None:
        raise JobError(Reason.NULL_VALUE, f"the record has a null value; {send}")
    if not record.value:
        raise JobError(Reason.EMPTY_VALUE, f"the record has an empty value; {send}")
    content_type = _content_type(headers)
    if content_type.startswith("image/"):
        return raw_job(
            record.value,
            given_options(text_pairs(record.headers), "header"),
            read_job_id([("header id", _header_id(headers))]),
        )
    if content_type.startswith("application/cloudevents"):
        raise JobError(
            Reason.CONTENT_TYPE,
            "CloudEvents structured mode is not accepted; use binary mode: "
            "the job as the value, the event's attributes as ce_ headers",
        )
    if content_type in ("", "application/json", "text/json") or content_type.endswith("+json"):
        body = _read_value(record.value, read_job_document)
        return job_from_object(body, default_id=_header_id(headers))
    raise JobError(
        Reason.CONTENT_TYPE,
        f"content-type {content_type[:_MAX_SHOWN]!r} is not accepted; {_ACCEPTED}",
    )


def job_from_object(
    body: object, *, default_id: str | None = None, beside: Given | None = None
) -> Job:
    """Read the job in a decoded JSON document.

    Args:
        body: what `read_document` or `read_job_document` returns.
        default_id: the job's name if the document has no `jobId`.
        beside: options that were given outside of the document.

    Returns:
        The job, with checked options; its image is neither fetched nor decoded yet.

    Raises:
        JobError: it is not an object, or a field is missing or wrong, or options contradict each
            other.
    """
    if not isinstance(body, dict):
        raise JobError(
            Reason.NOT_OBJECT,
            f"the job is {json_type(body)}; send a JSON object with an 'image' field",
        )
    params = body.get("inferenceParams")
    if params is not None and not isinstance(params, dict):
        raise wrong_type("field 'inferenceParams'", "an object", params)
    params, beside = params or {}, beside or {}
    given = {
        JOB_ID: [("field 'jobId'", body.get("jobId"))],
        TOP_K: [
            ("field 'inferenceParams.topK'", params.get("topK")),
            ("field 'inferenceParams.topk'", params.get("topk")),
            ("field 'topK'", body.get("topK")),
            ("field 'topk'", body.get("topk")),
        ],
        VISUALIZE: [("field 'visualize'", body.get("visualize"))],
        DEADLINE_MS: [("field 'deadlineMs'", body.get("deadlineMs"))],
    }
    for option, places in given.items():
        places.extend(beside.get(option, ()))
    image = _image(body)
    return _job(
        image, given, read_job_id(given[JOB_ID]) or read_job_id([("header id", default_id)])
    )


def recover_job_id(record: Record) -> str | None:
    """Find the job id in a record that `parse_job` refused, so that its failure has it too.

    Raises nothing.

    Returns:
        The JSON value's `jobId`, or else the header `job-id` or `ce_id`; None if there is none that
        `parse_job` would have accepted.
    """
    headers = text_headers(record.headers)
    candidates: list[object] = [_header_id(headers)]
    if record.value and not _content_type(headers).startswith("image/"):
        try:
            body = _read_value(record.value)
        except JobError:
            body = None
        if isinstance(body, dict):
            candidates.insert(0, body.get("jobId"))
    for candidate in candidates:
        if isinstance(candidate, str) and 0 < len(candidate) <= MAX_JOB_ID:
            return candidate
    return None


def _content_type(headers: Mapping[str, str]) -> str:
    declared = headers.get(_CONTENT_TYPE) or headers.get(_CE_DATA_CONTENT_TYPE)
    return (declared or "").partition(";")[0].strip().lower()


def _header_id(headers: Mapping[str, str]) -> str | None:
    return headers.get(_JOB_ID) or headers.get(_CE_ID) or None


def _is_framed(value: bytes) -> bool:
    """Whether a value begins like those of Confluent's serializers; JSON never begins with zero."""
    return len(value) > _FRAMING and value[0] == 0


def _read_value(value: bytes, read: Callable[[bytes, str, str], object] = read_document) -> object:
    """Read the JSON document in a record's value, with a schema id in front of it or without."""
    if not _is_framed(value):
        return read(value, "value", _SEND_UTF8)
    if not value[_FRAMING : 2 * _FRAMING].lstrip(b" \t\r\n").startswith(b"{"):
        schema = int.from_bytes(value[1:_FRAMING], "big")
        raise JobError(
            Reason.NOT_JSON,
            f"the value begins like one of Confluent's serializers (zero byte, schema id {schema}) "
            "and no JSON object follows: Avro and Protobuf are not read; send JSON, with that "
            "framing or without, or set the header content-type: image/jpeg for a raw image",
        )
    return read(value[_FRAMING:], "value after its schema id", _SEND_UTF8)


def raw_job(data: bytes, given: Given, job_id: str | None = None) -> Job:
    """Make the job of an encoded image and the options that came with it.

    Args:
        data: the encoded image.
        given: the options, from headers or a query.

    Returns:
        The job, with checked options; its image is not decoded yet.

    Raises:
        JobError: an option is wrong, or has two different values.
    """
    return _job(RawImage(data), given, job_id)


def _job(image: ImageSource, given: Given, job_id: str | None) -> Job:
    return Job(
        image=image,
        job_id=job_id,
        top_k=read_top_k(given.get(TOP_K, ())),
        visualize=read_visualize(given.get(VISUALIZE, ())),
        deadline=read_deadline(given.get(DEADLINE_MS, ())),
    )


def _image(body: Mapping[str, Any]) -> ImageSource:
    give = "give a URL, Base64 or a data: URI"
    image = body.get("image")
    if image is None:
        state = "null" if "image" in body else "missing"
        raise JobError(Reason.MISSING_FIELD, f"field 'image' is {state}: {give}")
    if isinstance(image, bytes):
        return RawImage(image)  # decoded already
    if not isinstance(image, str):
        raise wrong_type("field 'image'", "a string (URL, Base64 or data: URI)", image)
    # Base64 has no colon and a scheme is short: the first characters are enough to tell.
    head = image[:32]
    # A data: URI may contain `://`, in a parameter or in its text.
    if "://" in head and head.lstrip()[:5].lower() != "data:":
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
