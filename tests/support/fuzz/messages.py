"""Targets: what arrives as Kafka records: jobs with their headers, and results."""

from __future__ import annotations

import math
import re
from contextlib import suppress

import orjson

from tests.support.fuzz.target import Pieces, check_refusal, target
from worker.contract.copied_headers import copied_headers
from worker.contract.dead_letters import dead_letter_message, without_origin, without_value
from worker.contract.headers import JOB_OPTIONS, fold_name, text_pairs
from worker.contract.job_options import (
    MAX_DEADLINE_MS,
    MAX_JOB_ID,
    MAX_TOP_K,
    given_options,
    read_deadline,
    read_job_id,
    read_top_k,
    read_visualize,
)
from worker.contract.jobs import EncodedImage, Job, ModelIdentity, RawImage, Success, UrlImage
from worker.contract.parsing import MAX_URL, parse_job, recover_job_id
from worker.contract.records import Record
from worker.contract.results import (
    outcome_fields,
    read_result,
    result_message,
    result_source,
    without_copies,
    without_picture,
)
from worker.contract.traces import sampled_trace, trace_header
from worker.errors import Failure, JobError, Reason, Stage
from worker.images.retry_after import parse_retry_after

MODEL = ModelIdentity("model", "sha256:0", "paddle")
NAMES = (
    *("content-type", "job-id", "top-k", "topK", "visualize", "deadline-ms", "ce_id", "id"),
    *("ce_datacontenttype", "correlation-id", "traceparent", "tracestate", "authorization"),
    *("X-Api-Key", "Cookie", "dead-letter-reason", "dead-letter-id", "result-id"),
    *("source-topic", "content-encoding", "Content-Length", "Proxy-Authorization", ""),
)
SECRET = re.compile(r"(authorization|cookie|password|token|apikey|secret|credentials)$")
REFUSALS = tuple(reason for reason in Reason if reason.stage is Stage.PARSE)


def _headers(pieces: Pieces) -> list[tuple[str, bytes]]:
    headers = []
    for _ in range(pieces.number() % 12):
        kind = pieces.number()
        name = NAMES[kind] if kind < len(NAMES) else _text(pieces.some())
        headers.append((name, pieces.some()))
    return headers


def _text(data: bytes) -> str:
    """As `worker.kafka.batches` reads the names of headers."""
    return data.decode("utf-8", "backslashreplace")


def _record(pieces: Pieces) -> Record:
    headers = _headers(pieces)
    return Record("jobs", 3, 14, 1_700_000_000_000, b"key", pieces.rest() or None, headers)


@target()
def job(data: bytes) -> None:
    """A record becomes a job within all limits, or a failure that can be published."""
    record = _record(Pieces(data))
    try:
        parsed = parse_job(record)
    except JobError as error:
        check_refusal(error, *REFUSALS, Reason.BAD_URL, longest=800)
        found = recover_job_id(record)
        assert found is None or 0 < len(found) <= MAX_JOB_ID
        _check_published(record, found, error.as_failure())
    else:
        _check_job(parsed, record)
        _check_published(record, parsed.job_id, Success((), b"picture"))


def _check_job(parsed: Job, record: Record) -> None:
    assert record.value is not None
    match parsed.image:
        case UrlImage(url):
            assert "://" in url
            assert len(url) <= MAX_URL
        case EncodedImage(text):
            assert text.strip()
            assert len(text) <= len(record.value)
        case RawImage(data):
            assert data is record.value
    assert parsed.job_id is None or len(parsed.job_id) <= MAX_JOB_ID
    assert parsed.top_k is None or (type(parsed.top_k) is int and 1 <= parsed.top_k <= MAX_TOP_K)
    assert parsed.visualize in (None, True, False)
    assert parsed.deadline is None or 0 <= parsed.deadline <= MAX_DEADLINE_MS / 1000


def _check_published(record: Record, job_id: str | None, outcome: Success | Failure) -> None:
    message = result_message(record, job_id, outcome, MODEL)
    body = orjson.loads(message.value or b"")
    assert body["id"] == "jobs-3-14"
    assert body["jobId"] == (job_id or "jobs-3-14")
    assert message.key == record.key
    without_copies(message)
    if isinstance(outcome, Success):
        assert orjson.loads(without_picture(message).value or b"")["result"]["imageOmitted"]
        return
    assert body["errorCode"] == outcome.status
    assert len(body["errorMsg"]) <= 1024
    letter = dead_letter_message(record, job_id, outcome)
    assert (letter.key, letter.value) == (record.key, record.value)
    assert without_value(letter).value is None
    assert all(name.startswith("dead-letter-") for name, _ in without_origin(letter).headers)


@target(examples=200)
def headers(data: bytes) -> None:
    """What is copied from a job's headers, and what options and traces are found in them."""
    given = _headers(Pieces(data))
    copied = copied_headers(given)
    assert len(copied) <= 64
    rest = iter(given)
    assert all(header in rest for header in copied), "in order, unchanged"
    for name, value in copied:
        assert len(name.encode()) + len(value) <= 4096
        assert not SECRET.search(re.sub(r"[\W_]", "", name.lower()))
        assert fold_name(name) not in {fold_name(option) for option in JOB_OPTIONS}
    pairs = text_pairs(given)
    options = given_options(pairs, "header")
    for option, read in zip(
        JOB_OPTIONS, (read_job_id, read_top_k, read_visualize, read_deadline), strict=True
    ):
        try:
            read(options.get(option, ()))
        except JobError as error:
            check_refusal(error, Reason.WRONG_FIELD, longest=800)
    trace = sampled_trace(trace_header(given))
    assert trace is None or re.fullmatch(r"[0-9a-f]{32}", trace)
    for _, text in pairs:
        seconds = parse_retry_after(text, 0.0)
        assert seconds is None or seconds >= 0


@target(examples=200)
def result(data: bytes) -> None:
    """What other programs may write to the results topic is read, or refused by ValueError."""
    record = _record(Pieces(data))
    result_source(record)
    with suppress(ValueError):
        read = read_result(record.value)
        assert type(read.code) is int
        assert isinstance(read.message, str)
        for category in read.categories:
            assert isinstance(category.name, str)
            assert type(category.id) is int
            assert math.isfinite(category.score)
        if read.code == 0:
            again = orjson.dumps(outcome_fields(Success(read.categories, read.picture)))
            assert read_result(again).categories == read.categories
            assert read_result(again).picture == read.picture
