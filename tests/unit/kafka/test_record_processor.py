"""What becomes of a record, without Kafka: its outcome, its messages, and the name in them."""

from __future__ import annotations

import threading
import time
import tracemalloc
from dataclasses import replace

import orjson
import pytest

from worker.budget import Budget, Reservation
from worker.contract.jobs import (
    Category,
    Duplicate,
    Ending,
    Job,
    ModelIdentity,
    Outcome,
    Postponed,
    RawImage,
    Success,
)
from worker.contract.records import Record
from worker.errors import Failure, Reason, Stage
from worker.kafka.broker_errors import Refused
from worker.kafka.duplicates import Duplicates
from worker.kafka.record_processor import RecordProcessor
from worker.kafka.retry_topics import RetryTopics
from worker.metrics import Metrics
from worker.settings import KafkaSettings

TOPICS = KafkaSettings(jobs_topic="jobs", results_topic="results", dead_letters_topic="dead")
MODEL = ModelIdentity("model", "sha256:0", "paddle")


class Pipeline:
    """Answers every job in the same way, and keeps them."""

    def __init__(self, outcome: Outcome) -> None:
        self.jobs: list[Job] = []
        self._outcome = outcome

    async def process(self, job: Job, _held: Reservation) -> Outcome:
        self.jobs.append(job)
        return self._outcome


DONE = Success((Category(0, "any", 0.5),))
GONE = Failure(Reason.NOT_FOUND, "gone", Reason.NOT_FOUND.stage)


def record(value: bytes) -> Record:
    return Record("jobs", 0, 7, -1, b"key", value, (("job-id", b"of the header"),))


async def processed(pipeline: Pipeline, value: bytes) -> tuple[Ending, dict[str, str]]:
    """The outcome, and by topic the job's name in the message there."""
    processor = RecordProcessor(lambda: MODEL, pipeline.process, TOPICS, Metrics())
    outcome, outgoing = await processor.process(record(value), Budget(1, 1).reserve(0))
    names = {}
    for each in outgoing:
        headers = dict(each.message.headers)
        if each.topic == "results":
            names[each.topic] = orjson.loads(each.message.value or b"")["jobId"]
        else:
            names[each.topic] = headers["dead-letter-job-id"].decode()
    return outcome, names


async def test_a_success_is_a_result_under_the_jobs_name() -> None:
    pipeline = Pipeline(DONE)
    assert await processed(pipeline, b'{"image": "QUJD", "jobId": "a"}') == (DONE, {"results": "a"})
    assert [job.job_id for job in pipeline.jobs] == ["a"]


async def test_a_failure_is_a_result_and_a_dead_letter_under_the_jobs_name() -> None:
    expected = (GONE, {"results": "a", "dead": "a"})
    assert await processed(Pipeline(GONE), b'{"image": "QUJD", "jobId": "a"}') == expected


@pytest.mark.parametrize(
    ("value", "name", "reason", "reads"),
    [
        (b'{"image": 7, "jobId": "a"}', "a", Reason.WRONG_FIELD, 2),
        (b'{"image": 7, "jobId": 7}', "of the header", Reason.WRONG_FIELD, 2),
        (b'{"jobId": "a", ', "of the header", Reason.NOT_JSON, 2),
        (b"", "of the header", Reason.EMPTY_VALUE, 0),
    ],
)
async def test_a_refused_record_is_answered_by_name_and_read_for_it_but_once(
    monkeypatch: pytest.MonkeyPatch, value: bytes, name: str, reason: Reason, reads: int
) -> None:
    decoded = []
    real = orjson.loads

    def loads(text: bytes) -> object:
        decoded.append(text)
        return real(text)

    monkeypatch.setattr("worker.contract.documents.orjson.loads", loads)
    pipeline = Pipeline(DONE)
    outcome, names = await processed(pipeline, value)
    assert isinstance(outcome, Failure)
    assert outcome.reason is reason
    assert names == {"results": name, "dead": name}
    assert pipeline.jobs == []
    # A large value holds the event loop up each time.
    assert decoded.count(value) == reads


def test_an_answer_without_room_is_refused_under_the_jobs_name() -> None:
    processor = RecordProcessor(lambda: MODEL, Pipeline(DONE).process, TOPICS, Metrics())
    outcome, (result, letter) = processor.reject(
        record(b'{"image": "QUJD", "jobId": "a"}'),
        Refused("results", 10, "MESSAGE_TOO_LARGE"),
        DONE,
    )
    assert isinstance(outcome, Failure)
    body = orjson.loads(result.message.value or b"")
    assert (body["jobId"], body["errorCode"], body["errorMsg"]) == ("a", 413, outcome.message)
    assert letter.topic == "dead"
    assert dict(letter.message.headers)["dead-letter-stage"] == b"publish"


def test_a_result_refused_for_its_content_is_told_of_by_a_dead_letter_alone() -> None:
    metrics = Metrics()
    processor = RecordProcessor(lambda: MODEL, Pipeline(DONE).process, TOPICS, metrics)
    refused = Refused("results", 87, "INVALID_RECORD")
    job = record(b'{"image": "QUJD", "jobId": "a"}')
    outcome, (letter,) = processor.reject(job, refused, DONE)
    assert isinstance(outcome, Failure)
    headers = dict(letter.message.headers)
    assert (letter.topic, letter.message.value) == ("dead", job.value)
    assert headers["dead-letter-job-id"] == b"a"
    assert headers["dead-letter-reason"] == b"result_refused"
    assert b"INVALID_RECORD, code 87" in headers["dead-letter-message"]

    def letters() -> float | None:
        labels = {"stage": "publish", "reason": "result_refused"}
        return metrics.registry.get_sample_value("classify_dead_letters_total", labels)

    processor.finish(job, outcome, [Refused("dead", 87, "INVALID_RECORD")])
    assert letters() == 0, "it was not written"
    processor.finish(job, outcome, [])
    assert letters() == 1


@pytest.mark.parametrize(("size", "thread"), [(1000, "MainThread"), (3 << 20, "offload_0")])
async def test_a_large_record_is_read_in_a_thread_and_its_text_accounted_for(
    monkeypatch: pytest.MonkeyPatch, size: int, thread: str
) -> None:
    threads, during, held = set(), set(), []
    real = orjson.loads

    def loads(text: bytes) -> object:
        threads.add(threading.current_thread().name)
        during.add(budget.bytes)
        return real(text)

    async def process(job: Job, _held: Reservation) -> Outcome:
        held.append(budget.bytes)
        return DONE

    monkeypatch.setattr("worker.contract.documents.orjson.loads", loads)
    budget = Budget(1, 1 << 30)
    reserved = budget.reserve(0)
    processor = RecordProcessor(lambda: MODEL, process, TOPICS, Metrics())
    sent = record(b'{"image": "%b"}' % (b"A" * size))
    await processor.process(sent, reserved)
    reserved.release()

    assert threads == {thread}
    assert during == {0 if thread == "MainThread" else sent.size}
    assert held == [size]
    assert budget.bytes == 0


async def test_what_an_image_takes_besides_its_record_is_accounted_for() -> None:
    """Bytes that are decoded at once count as a text does; those of a raw record are its value."""
    budget, held = Budget(1, 1 << 30), []

    async def process(job: Job, _held: Reservation) -> Outcome:
        assert isinstance(job.image, RawImage)
        held.append(budget.bytes)
        return DONE

    processor = RecordProcessor(lambda: MODEL, process, TOPICS, Metrics())
    plain = record(b'{"image": "%b"}' % (b"QUJD" * 10_000))
    raw = replace(record(b"A" * 30_000), headers=(("content-type", b"image/jpeg"),))
    for sent in (plain, raw):
        reserved = budget.reserve(0)
        await processor.process(sent, reserved)
        reserved.release()
    assert held == [30_000, 0]


async def test_a_record_of_brackets_costs_little() -> None:
    value = b'{"image": "QUJD", "jobId": "a", "x": [' + b"{}," * (20_000_000 // 3) + b"{}]}"
    tracemalloc.start()
    try:
        outcome, names = await processed(Pipeline(DONE), value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.stage) == (Reason.TOO_LARGE, Stage.PARSE)
    # Its own name is not looked for among the brackets.
    assert names == {"results": "of the header", "dead": "of the header"}
    # Far less than the dead letter, which carries the record.
    assert peak < 30_000_000


@pytest.mark.parametrize(("flags", "exemplars"), [("01", 1), ("00", 0)])
def test_a_jobs_latency_is_an_example_of_its_trace(flags: str, exemplars: int) -> None:
    metrics = Metrics()
    processor = RecordProcessor(lambda: MODEL, Pipeline(DONE).process, TOPICS, metrics)
    header = f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}".encode()
    headers = (("Traceparent", header), ("correlation-id", b"c"))
    processor.finish(Record("jobs", 0, 7, 1000, None, b"", headers), DONE, [])
    processor.finish(Record("jobs", 0, 8, 1000, None, b"", ()), DONE, [])
    (latency,) = (one for one in metrics.collect() if one.name == "classify_latency_seconds")
    found = [sample.exemplar.labels for sample in latency.samples if sample.exemplar]
    assert found == [{"trace_id": "0af7651916cd43dd8448eb211c80319c"}] * exemplars


DOWN = Failure(Reason.FETCH_FAILED, "HTTP 503", Stage.FETCH, attempts=4, transient=True)
JOB = b'{"image": "https://example.org/a.jpg", "jobId": "a"}'


def retrying(pipeline: Pipeline, metrics: Metrics) -> RecordProcessor:
    retries = RetryTopics({"later-10s": 10.0})
    return RecordProcessor(lambda: MODEL, pipeline.process, TOPICS, metrics, retries=retries)


async def test_a_passing_failure_is_a_record_for_the_retry_topic_and_nothing_else() -> None:
    metrics = Metrics()
    metrics.expect_retries(["10s"])
    processor, job = retrying(Pipeline(DOWN), metrics), record(JOB)

    def scheduled() -> float | None:
        labels = {"delay": "10s", "reason": "fetch_failed"}
        return metrics.registry.get_sample_value("classify_retries_total", labels)

    assert scheduled() == 0
    ending, (retry,) = await processor.process(job, Budget(1, 1).reserve(0))
    assert ending == Postponed(DOWN, "a", 10.0)
    assert (retry.topic, retry.message.key, retry.message.value) == ("later-10s", b"key", JOB)
    processor.finish(job, ending, [])
    assert scheduled() == 1
    labels = {"outcome": "failure", "reason": "fetch_failed"}
    assert metrics.registry.get_sample_value("classify_jobs_total", labels) == 0, "not over yet"


async def test_the_last_try_answers_for_the_first_record_with_all_attempts() -> None:
    processor = retrying(Pipeline(DOWN), Metrics())
    _, (retry,) = await processor.process(record(JOB), Budget(1, 1).reserve(0))
    message = retry.message
    again = Record("later-10s", 3, 9, 5, message.key, message.value, message.headers)
    ending, (result, letter) = await processor.process(again, Budget(1, 1).reserve(0))
    assert isinstance(ending, Failure)
    assert ending.attempts == 8
    assert orjson.loads(result.message.value or b"")["id"] == "jobs-0-7"
    headers = dict(letter.message.headers)
    assert headers["dead-letter-id"] == b"jobs-0-7"
    assert headers["dead-letter-attempts"] == b"8"
    assert letter.message.headers[0] == ("job-id", b"of the header")


async def test_latency_counts_from_the_first_record() -> None:
    metrics = Metrics()
    processor = retrying(Pipeline(DOWN), metrics)
    long_ago = replace(record(JOB), timestamp_ms=1)
    _, (retry,) = await processor.process(long_ago, Budget(1, 1).reserve(0))
    message = retry.message
    now = round(time.time() * 1000)
    again = Record("later-10s", 3, 9, now, message.key, message.value, message.headers)
    ending, _ = await processor.process(again, Budget(1, 1).reserve(0))
    processor.finish(again, ending, [])
    seconds = metrics.registry.get_sample_value("classify_latency_seconds_sum")
    assert seconds is not None
    assert seconds > 10**9


@pytest.mark.parametrize("deadline", [0, 5_000, 3_600_000])
async def test_a_deadline_before_the_retry_is_answered_at_once(deadline: int) -> None:
    processor = retrying(Pipeline(DOWN), Metrics())
    job = {"image": "https://example.org/a.jpg", "deadlineMs": time.time() * 1000 + deadline}
    ending, _ = await processor.process(record(orjson.dumps(job)), Budget(1, 1).reserve(0))
    assert isinstance(ending, Postponed) == (deadline > 10_000)


@pytest.mark.parametrize("code", [10, 87])
async def test_a_retry_that_its_topic_refuses_is_the_failure_that_it_would_have_been(
    code: int,
) -> None:
    processor, job = retrying(Pipeline(DOWN), Metrics()), record(JOB)
    ending, _ = await processor.process(job, Budget(1, 1).reserve(0))
    assert isinstance(ending, Postponed)
    outcome, (result, letter) = processor.reject(job, Refused("later-10s", code, "NAME"), ending)
    assert outcome == DOWN
    assert orjson.loads(result.message.value or b"")["errorCode"] == 502
    assert (letter.topic, letter.message.value) == ("dead", JOB)


async def test_a_duplicate_has_no_messages_and_is_counted() -> None:
    metrics, pipeline = Metrics(), Pipeline(DONE)
    processor = RecordProcessor(
        lambda: MODEL, pipeline.process, TOPICS, metrics, duplicates=Duplicates(60.0, 10)
    )
    first, again = record(JOB), replace(record(JOB), offset=8)
    for each, expected in ((first, DONE), (again, Duplicate("a")), (first, DONE)):
        ending, messages = await processor.process(each, Budget(1, 1).reserve(0))
        assert ending == expected
        assert len(messages) == (expected is DONE)
        processor.finish(each, ending, [])
    assert len(pipeline.jobs) == 2
    assert metrics.registry.get_sample_value("classify_duplicate_jobs_total") == 1
    assert (
        metrics.registry.get_sample_value(
            "classify_jobs_total", {"outcome": "success", "reason": "ok"}
        )
        == 2
    )


@pytest.mark.parametrize("outcome", [GONE, DOWN])
async def test_a_job_that_failed_or_waits_is_no_reason_to_drop_another_record_of_it(
    outcome: Failure,
) -> None:
    pipeline = Pipeline(outcome)
    processor = RecordProcessor(
        lambda: MODEL,
        pipeline.process,
        TOPICS,
        Metrics(),
        retries=RetryTopics({"later-10s": 10.0}),
        duplicates=Duplicates(60.0, 10),
    )
    for offset in (7, 8):
        job = replace(record(JOB), offset=offset)
        ending, _ = await processor.process(job, Budget(1, 1).reserve(0))
        processor.finish(job, ending, [])
    assert len(pipeline.jobs) == 2


async def test_jobs_without_a_name_are_no_duplicates() -> None:
    pipeline = Pipeline(DONE)
    processor = RecordProcessor(
        lambda: MODEL, pipeline.process, TOPICS, Metrics(), duplicates=Duplicates(60.0, 10)
    )
    for offset in (7, 8):
        job = Record("jobs", 0, offset, -1, None, b'{"image": "QUJD"}', ())
        ending, _ = await processor.process(job, Budget(1, 1).reserve(0))
        processor.finish(job, ending, [])
        assert ending == DONE
    assert len(pipeline.jobs) == 2
