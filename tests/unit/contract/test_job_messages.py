"""Jobs that a producer makes are parsed as they were meant."""

from __future__ import annotations

import orjson
import pytest

from worker.contract.job_messages import JobEnvelope
from worker.contract.job_options import MAX_JOB_ID
from worker.contract.jobs import EncodedImage, Job, RawImage, UrlImage
from worker.contract.parsing import parse_job
from worker.contract.records import Message, Record

JPEG = b"\xff\xd8\xff\xe0 not more than its beginning"


def envelope(
    name: str = "cat.jpg", top_k: int | None = None, *, visualize: bool | None = None
) -> JobEnvelope:
    return JobEnvelope(name, "run-1", top_k, visualize)


def as_read(message: Message) -> Job:
    record = Record("jobs", 0, 0, 0, message.key, message.value, message.headers)
    return parse_job(record)


def test_base64() -> None:
    message = envelope().with_base64(JPEG)
    assert as_read(message) == Job(
        EncodedImage("/9j/4CBub3QgbW9yZSB0aGFuIGl0cyBiZWdpbm5pbmc="), "cat.jpg"
    )
    assert ("correlation-id", b"run-1") in message.headers


def test_raw() -> None:
    message = envelope().with_raw(JPEG, "image/jpeg")
    assert as_read(message) == Job(RawImage(JPEG), "cat.jpg")
    assert ("content-type", b"image/jpeg") in message.headers
    assert ("correlation-id", b"run-1") in message.headers


def test_raw_bytes_that_are_no_image_reach_the_worker_as_such() -> None:
    assert as_read(envelope().with_raw(b"hello", "image/unknown")) == Job(
        RawImage(b"hello"), "cat.jpg"
    )


def test_url() -> None:
    job = as_read(envelope().with_url("https://example.org/cat.jpg?size=2"))
    assert job == Job(UrlImage("https://example.org/cat.jpg?size=2"), "cat.jpg")


@pytest.mark.parametrize("visualize", [None, False, True])
@pytest.mark.parametrize("kind", ["base64", "raw", "url", "job"])
def test_options_travel_with_every_kind(kind: str, visualize: bool | None) -> None:
    asked = envelope(top_k=3, visualize=visualize)
    message = {
        "base64": lambda: asked.with_base64(JPEG),
        "raw": lambda: asked.with_raw(JPEG, "image/jpeg"),
        "url": lambda: asked.with_url("https://example.org/"),
        "job": lambda: asked.with_job({"image": "aGVsbG8="}),
    }[kind]()
    job = as_read(message)
    assert (job.top_k, job.visualize) == (3, visualize)


def test_a_written_job_keeps_what_it_says() -> None:
    written = {"image": "aGVsbG8=", "jobId": "mine", "topk": 7, "visualize": True, "own": [1]}
    message = envelope(top_k=3, visualize=False).with_job(written)
    assert orjson.loads(message.value or b"") == written
    parameters = {"image": "aGVsbG8=", "inferenceParams": {"topK": 2}}
    assert as_read(envelope(top_k=3).with_job(parameters)).top_k == 2


@pytest.mark.parametrize("name", ["b\udcffd.jpg", "a" * 4000 + ".jpg", "", "ü" * 512])
def test_any_name_becomes_a_job_id_that_the_worker_takes(name: str) -> None:
    for message in (envelope(name).with_base64(JPEG), envelope(name).with_raw(JPEG, "image/jpeg")):
        job_id = as_read(message).job_id or ""
        assert len(job_id) <= MAX_JOB_ID
        assert job_id.endswith(name[-4:])
