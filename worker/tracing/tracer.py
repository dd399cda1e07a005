"""Which spans there are: their names, kinds, attributes and links.

They follow OpenTelemetry's semantic conventions for messaging and HTTP. Those for messaging are in
development, so their names are written here rather than imported from a package that changes them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace import Tracer as OpenTelemetryTracer
from opentelemetry.util.types import AttributeValue
from structlog.contextvars import bound_contextvars

from worker.contract.headers import CORRELATION_ID, fold_name, text_headers
from worker.contract.jobs import Ending, Postponed
from worker.contract.records import Message, Record
from worker.contract.text import bounded_text
from worker.errors import Failure, JobError, Stage
from worker.redaction import without_secrets
from worker.settings import KafkaSettings
from worker.tracing.propagation import links_to, read_context, stamp

__all__ = ["BATCH_SPAN", "Sending", "SpanContext", "Tracer"]

BATCH_SPAN = "infer"
"""The name of a batch's span."""

MAX_ID = 256
"""Longest id of a producer's that a span carries, in characters."""

Attributes = dict[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class Sending:
    """A message that is being sent.

    Attributes:
        stamp: makes the message carry the span's context, in place of any that it has.
        refused: notes the name of the error with which the brokers refuse it for good.
    """

    stamp: Callable[[Message], Message]
    refused: Callable[[str], None]


class Tracer:
    """Makes the spans of jobs, requests and batches. A job's spans are made in its own task.

    Args:
        tracer: OpenTelemetry's.
        link_only: whether a job's trace is its own, linked to the one of its `traceparent`, and not
            continued.
    """

    def __init__(
        self, tracer: OpenTelemetryTracer, kafka: KafkaSettings, *, link_only: bool
    ) -> None:
        self._tracer = tracer
        self._kafka = kafka
        self._link_only = link_only

    @contextmanager
    def process(self, record: Record) -> Iterator[Callable[[Ending], None]]:
        """The span of one job, current meanwhile: `process TOPIC`.

        Log lines that are written meanwhile have its `trace_id` and `span_id`.

        Yields:
            What notes the job's outcome.
        """
        received = read_context(record.headers)
        attributes = self._messaging("process", record.topic) | {
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._kafka.group_id,
        }
        if record.value is None:
            attributes["messaging.kafka.message.tombstone"] = True
        if correlation_id := text_headers(record.headers).get(fold_name(CORRELATION_ID)):
            attributes["messaging.message.conversation_id"] = correlation_id[:MAX_ID]
        with self._span(
            f"process {record.topic}",
            SpanKind.CONSUMER,
            attributes,
            Context() if self._link_only else received,
            links_to(received),
        ) as span:
            yield partial(_note_ending, span)

    @contextmanager
    def request(
        self, method: str, route: str, headers: Iterable[tuple[str, str]]
    ) -> Iterator[Callable[[int], None]]:
        """The span of one HTTP request, current meanwhile: `METHOD ROUTE`.

        Yields:
            What notes the response's status.
        """
        attributes: Attributes = {
            "http.request.method": method,
            "http.route": route,
            "url.path": route,
            "url.scheme": "http",
        }
        received = read_context((name, value.encode("ascii", "replace")) for name, value in headers)
        with self._span(f"{method} {route}", SpanKind.SERVER, attributes, received) as span:
            yield partial(_note_status, span)

    def with_spans(
        self, timed: Callable[[Stage], AbstractContextManager[None]]
    ) -> Callable[[Stage], AbstractContextManager[None]]:
        """Make a function that measures a stage as `timed` does, in a span of the stage's name."""

        @contextmanager
        def stage_span(stage: Stage) -> Iterator[None]:
            with timed(stage), self._child(stage.value, SpanKind.INTERNAL, {}):
                yield

        return stage_span

    def origin(self) -> SpanContext:
        """What identifies the job or request whose task this is, for its batch's span.

        Returns:
            The context of its span.
        """
        return get_current_span().get_span_context()

    @contextmanager
    def infer(
        self, waits: Sequence[tuple[SpanContext, float]], *, slot: int, closed: str
    ) -> Iterator[None]:
        """The span of one batch, in a trace of its own that is linked to all of its jobs.

        Each job gets a span of how long it waited for the batch, linked to the batch's span.

        Args:
            waits: the origin of each image, and the seconds that it waited.
            slot: which predictor computes it.
            closed: why the batch was closed.
        """
        sampled = [(origin, seconds) for origin, seconds in waits if origin.trace_flags.sampled]
        if not sampled:
            yield
            return
        now = time.time_ns()
        attributes: Attributes = {
            "messaging.batch.message_count": len(waits),
            "classify.batch.close_reason": closed,
            "classify.predictor.slot": slot,
        }
        jobs = [Link(origin) for origin, _ in sampled]
        with self._span(BATCH_SPAN, SpanKind.INTERNAL, attributes, Context(), jobs) as span:
            batch = [Link(span.get_span_context())]
            for origin, seconds in sampled:
                job = set_span_in_context(NonRecordingSpan(origin), Context())
                began = now - round(seconds * 1e9)
                waited = self._tracer.start_span("batch wait", job, links=batch, start_time=began)
                waited.end(now)
            yield

    def note_failed_run(self, error: Exception, images: int) -> None:
        """Add to the batch's span that a run of some of its images failed."""
        get_current_span().add_event(
            "run failed", {"error.type": type(error).__name__, "images": images}
        )

    @contextmanager
    def send(self, topic: str, message: Message) -> Iterator[Sending]:
        """The span of one message until the brokers acknowledge or refuse it: `send TOPIC`.

        Only a result carries the span's context. A dead letter and a record for a retry topic keep
        the one that came with the job, to which the span is linked.
        """
        attributes, name = self._messaging("send", topic), f"send {topic}"
        if topic != self._kafka.results_topic:
            created = links_to(read_context(message.headers))
            with self._child(name, SpanKind.CLIENT, attributes, created) as span:
                yield Sending(lambda kept: kept, partial(_fail, span))
            return
        with self._child(name, SpanKind.PRODUCER, attributes) as span:
            yield Sending(partial(stamp, span), partial(_fail, span))

    def note_acknowledged(self, partition: int, offset: int) -> None:
        """Add to the message's span where the brokers have put it."""
        get_current_span().set_attributes(
            {"messaging.destination.partition.id": str(partition), "messaging.kafka.offset": offset}
        )

    def _messaging(self, operation: str, topic: str) -> Attributes:
        """The attributes that each span of a message has; the type is called as the operation."""
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": topic,
            "messaging.client.id": self._kafka.client_id,
        }

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        parent: Context,
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        """A span that begins something; log lines name it."""
        with self._child(name, kind, attributes, links, parent) as span:
            own = span.get_span_context()
            with bound_contextvars(
                trace_id=format_trace_id(own.trace_id), span_id=format_span_id(own.span_id)
            ):
                yield span

    @contextmanager
    def _child(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link] = (),
        parent: Context | None = None,
    ) -> Iterator[Span]:
        """A span that is current meanwhile, and says which exception ended it.

        Args:
            parent: None is the current span.
        """
        span = self._tracer.start_span(name, parent, kind, attributes, links)
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield span
        except JobError as error:
            _fail(span, error.reason.label, error.message)
            raise
        except asyncio.CancelledError:
            # Its partition was given up, or its client has gone.
            _fail(span, "cancelled")
            raise
        except BaseException as error:
            _fail(span, type(error).__name__, str(error))
            raise
        finally:
            span.end()


def _note_ending(span: Span, ending: Ending) -> None:
    failure = ending.failure if isinstance(ending, Postponed) else ending
    if isinstance(failure, Failure):
        _fail(span, failure.reason.label, failure.message)


def _note_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:  # what is wrong with a request is not the server's failure
        _fail(span, str(status))


def _fail(span: Span, kind: str, message: str = "") -> None:
    span.set_attribute("error.type", kind)
    text = without_secrets(bounded_text(message))
    span.set_status(Status(StatusCode.ERROR, text or None))
