"""Spans as they are made: names, kinds, parents, links, attributes, and the headers that go out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags
from structlog.contextvars import get_contextvars

from tests.support.traces import Traces
from worker.contract.jobs import Success
from worker.contract.records import Headers, Message, Record
from worker.errors import Failure, JobError, Reason, Stage

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01".encode()
NOT_SAMPLED = f"00-{TRACE}-{SPAN}-00".encode()


@pytest.fixture
def traces() -> Traces:
    return Traces()


def record(*headers: tuple[str, bytes], value: bytes | None = b"{}") -> Record:
    return Record("jobs", 3, 42, -1, b"key", value, headers)


def ids(context: SpanContext | None) -> tuple[str, str]:
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def links(span: ReadableSpan) -> list[tuple[str, str]]:
    return [ids(link.context) for link in span.links]


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def named(headers: Headers, name: str) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def test_a_job_continues_its_traceparent_and_is_linked_to_it(traces: Traces) -> None:
    job = record(("traceparent", TRACEPARENT), ("correlation-id", b"c-1"))
    with traces.tracer.process(job) as note_outcome:
        note_outcome(Success(()))
    span = traces.spans["process jobs"]
    assert span.kind is SpanKind.CONSUMER
    assert ids(span.parent) == (TRACE, SPAN)
    assert ids(span.context)[0] == TRACE
    assert links(span) == [(TRACE, SPAN)]
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "jobs",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 42,
        "messaging.consumer.group.name": "image-classification",
        "messaging.client.id": "classify-worker",
        "messaging.message.conversation_id": "c-1",
    }


def test_link_only_begins_a_trace_for_each_job() -> None:
    traces = Traces(link_only=True)
    with traces.tracer.process(record(("traceparent", TRACEPARENT))):
        pass
    span = traces.spans["process jobs"]
    assert span.parent is None
    assert ids(span.context)[0] != TRACE
    assert links(span) == [(TRACE, SPAN)]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        None,
        b"00-1-2-01",
        b"\x00\xff\xfe" * 40,
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        TRACEPARENT[:36] + b"0" * 16 + b"-01",
        b"ff" + TRACEPARENT[2:],
        TRACEPARENT + b"-more",
        TRACEPARENT.upper(),
        TRACEPARENT + b"\n" + TRACEPARENT,
        b" " * 10_000_000,
        "00-０af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".encode(),  # noqa: RUF001
    ],
)
def test_a_traceparent_that_is_none_is_ignored(traces: Traces, header: bytes | None) -> None:
    with traces.tracer.process(record(("traceparent", header))):  # type: ignore[arg-type]
        pass
    span = traces.spans["process jobs"]
    assert span.parent is None
    assert not span.links


def test_a_later_version_is_read_as_far_as_it_is_known(traces: Traces) -> None:
    with traces.tracer.process(record(("traceparent", b"cc" + TRACEPARENT[2:] + b"-what.follows"))):
        pass
    assert ids(traces.spans["process jobs"].parent) == (TRACE, SPAN)


def test_of_two_traceparents_the_last_one_counts(traces: Traces) -> None:
    first = b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01"
    with traces.tracer.process(record(("traceparent", first), ("Traceparent", TRACEPARENT))):
        pass
    assert ids(traces.spans["process jobs"].parent) == (TRACE, SPAN)


def test_a_result_has_the_context_of_its_own_sending(traces: Traces) -> None:
    copied = (
        ("x-tenant", b"a"),
        ("Traceparent", b"nonsense"),
        ("traceparent", TRACEPARENT),
        ("tracestate", b"vendor=1"),
        ("x-tenant", b"b"),
    )
    with (
        traces.tracer.process(record(*copied)),
        traces.tracer.send("results", Message(b"key", b"{}", copied)) as sending,
    ):
        sent = sending.stamp(Message(b"key", b"{}", copied))
        again = sending.stamp(sent)
        traces.tracer.note_acknowledged(5, 77)
    span, job = traces.spans["send results"], traces.spans["process jobs"]
    assert span.kind is SpanKind.PRODUCER
    assert ids(span.parent) == ids(job.context)
    trace_id, span_id = ids(span.context)
    assert named(sent.headers, "traceparent") == [f"00-{trace_id}-{span_id}-01".encode()]
    assert named(sent.headers, "tracestate") == [b"vendor=1"]
    assert named(sent.headers, "x-tenant") == [b"a", b"b"]
    assert again == sent
    assert attributes(span) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "results",
        "messaging.destination.partition.id": "5",
        "messaging.kafka.offset": 77,
        "messaging.client.id": "classify-worker",
    }


def test_a_trace_of_its_own_leaves_nothing_of_the_producers() -> None:
    traces = Traces(link_only=True)
    copied = (("traceparent", TRACEPARENT), ("tracestate", b"vendor=1"))
    message = Message(None, b"{}", copied)
    with traces.tracer.process(record(*copied)), traces.tracer.send("results", message) as sending:
        sent = sending.stamp(message)
    (header,) = sent.headers
    assert header[0] == "traceparent"
    assert TRACE.encode() not in header[1]


def test_a_trace_that_is_not_sampled_goes_on_unsampled(traces: Traces) -> None:
    message = Message(None, b"{}", (("traceparent", NOT_SAMPLED),))
    with (
        traces.tracer.process(record(*message.headers)),
        traces.tracer.send("results", message) as sending,
    ):
        ((_, sent),) = sending.stamp(message).headers
    assert sent.startswith(f"00-{TRACE}-".encode())
    assert sent.endswith(b"-00")
    assert sent != NOT_SAMPLED
    assert not traces.spans


def test_a_dead_letter_keeps_the_context_that_its_record_came_with(traces: Traces) -> None:
    letter = Message(b"key", b"{}", (("traceparent", TRACEPARENT), ("x", b"y")))
    with traces.tracer.send("dead", letter) as sending:
        assert sending.stamp(letter) is letter
        sending.refused("MESSAGE_TOO_LARGE")
    span = traces.spans["send dead"]
    assert span.kind is SpanKind.CLIENT
    assert links(span) == [(TRACE, SPAN)]
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "MESSAGE_TOO_LARGE"


def test_a_failed_job_says_why_without_secrets(traces: Traces) -> None:
    message = "https://user:secret@host/a?signature=secret answers 404"
    with traces.tracer.process(record(value=None)) as note_outcome:
        note_outcome(Failure(Reason.NOT_FOUND, message, Stage.FETCH))
    span = traces.spans["process jobs"]
    assert attributes(span)["error.type"] == "not_found"
    assert attributes(span)["messaging.kafka.message.tombstone"] is True
    assert span.status.status_code is StatusCode.ERROR
    assert "answers 404" in (span.status.description or "")
    assert "secret" not in (span.status.description or "")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (JobError(Reason.CORRUPT_IMAGE, "cut off"), "corrupt_image"),
        (asyncio.CancelledError(), "cancelled"),
        (ValueError("a lone \udcff surrogate"), "ValueError"),
    ],
)
def test_a_stage_is_measured_and_its_span_says_what_ended_it(
    traces: Traces, error: BaseException, kind: str
) -> None:
    measured = []

    @contextmanager
    def timed(stage: Stage) -> Iterator[None]:
        try:
            yield
        finally:
            measured.append(stage)

    stages = traces.tracer.with_spans(timed)
    with traces.tracer.process(record()):
        with stages(Stage.FETCH):
            pass
        with pytest.raises(type(error)), stages(Stage.DECODE):
            raise error
    assert measured == [Stage.FETCH, Stage.DECODE]
    job = traces.spans["process jobs"]
    for name in ("fetch", "decode"):
        assert ids(traces.spans[name].parent) == ids(job.context)
        assert traces.spans[name].kind is SpanKind.INTERNAL
    assert not attributes(traces.spans["fetch"])
    assert attributes(traces.spans["decode"]) == {"error.type": kind}
    assert "error.type" not in attributes(job)
    (traces.spans["decode"].status.description or "").encode()


def test_a_batch_is_a_trace_of_its_own_linked_to_all_its_jobs(traces: Traces) -> None:
    waits = [(origin(traces), 0.25 * job) for job in range(3)]
    with traces.tracer.infer(waits, slot=1, closed="full"):
        traces.tracer.note_failed_run(ValueError("odd"), 3)
    batch = traces.spans["infer"]
    assert batch.parent is None
    assert batch.kind is SpanKind.INTERNAL
    assert links(batch) == [ids(job) for job, _ in waits]
    assert ids(batch.context)[0] not in {ids(job)[0] for job, _ in waits}
    assert attributes(batch)["messaging.batch.message_count"] == 3
    assert [event.name for event in batch.events] == ["run failed"]


def test_each_job_has_a_span_of_its_wait_linked_to_the_batch(traces: Traces) -> None:
    job = origin(traces)
    with traces.tracer.infer([(job, 0.25)], slot=0, closed="drained"):
        pass
    wait, batch = traces.spans["batch wait"], traces.spans["infer"]
    assert ids(wait.parent) == ids(job)
    assert links(wait) == [ids(batch.context)]
    assert wait.end_time is not None
    assert wait.start_time is not None
    assert wait.end_time - wait.start_time == 250_000_000


def test_a_batch_without_a_sampled_job_has_no_span(traces: Traces) -> None:
    unsampled = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(0))
    with traces.tracer.infer([(unsampled, 0.1)], slot=0, closed="full"):
        pass
    assert not traces.spans


def origin(traces: Traces) -> SpanContext:
    with traces.tracer.process(record()):
        return traces.tracer.origin()


@pytest.mark.parametrize(("status", "failed"), [(200, False), (422, False), (503, True)])
def test_a_request_is_a_servers_span(traces: Traces, status: int, failed: bool) -> None:
    headers = [("Traceparent", TRACEPARENT.decode()), ("x", "\udcff")]
    with traces.tracer.request("POST", "/classify", headers) as note_status:
        note_status(status)
    span = traces.spans["POST /classify"]
    assert span.kind is SpanKind.SERVER
    assert ids(span.parent) == (TRACE, SPAN)
    assert attributes(span)["http.response.status_code"] == status
    assert attributes(span)["http.route"] == "/classify"
    assert (span.status.status_code is StatusCode.ERROR) is failed
    assert attributes(span).get("error.type") == (str(status) if failed else None)


def test_log_lines_of_a_job_name_its_span(traces: Traces) -> None:
    with traces.tracer.process(record(("traceparent", TRACEPARENT))):
        named = get_contextvars()
    assert named == dict(
        zip(("trace_id", "span_id"), ids(traces.spans["process jobs"].context), strict=True)
    )
    assert not get_contextvars()
