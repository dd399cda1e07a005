"""What becomes of a record, without Kafka: its outcome, its messages, and the name in them."""

from __future__ import annotations

import threading
import tracemalloc

import orjson
import pytest

from worker.budget import Budget, Reservation
from worker.contract.jobs import Category, Job, ModelIdentity, Outcome, Success
from worker.contract.records import Record
from worker.errors import Failure, Reason, Stage
from worker.kafka.broker_errors import Refused
from worker.kafka.record_processor import RecordProcessor
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


async def processed(pipeline: Pipeline, value: bytes) -> tuple[Outcome, dict[str, str]]:
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
        record(b'{"image": "QUJD", "jobId": "a"}'), Refused("results", 10, "MESSAGE_TOO_LARGE")
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
    outcome, (letter,) = processor.reject(job, refused)
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


@pytest.mark.parametrize(("size", "thread"), [(1000, "MainThread"), (3 << 20, "aside_0")])
async def test_a_large_record_is_read_aside_and_its_text_accounted_for(
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
