"""Exports spans as the standard `OTEL_*` variables say, over HTTP with Protocol Buffers.

A collector that is away, or that accepts connections and says nothing, costs spans alone: they wait
in a bounded queue for a thread of their own (`OTEL_BSP_*`), and the oldest are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from worker import __version__
from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import SettingsError
from worker.settings import Settings
from worker.tracing.tracer import BATCH_SPAN, Tracer

__all__ = ["Tracing"]

SERVICE = "classify-worker"
"""The name of the service unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` give another."""

MAX_LINKS = 1024
"""Links of a batch's span, one for each image of the largest batch; the SDK's own limit is 128."""

BETWEEN_COMPLAINTS = 60.0
"""Seconds in which the SDK is heard once about the same thing."""

log = structlog.get_logger(__name__)


class Tracing:
    """The tracer, and the thread that exports its spans.

    Raises:
        SettingsError: a variable has a value that the SDK refuses.

    Attributes:
        tracer: makes the spans.
    """

    def __init__(self, settings: Settings) -> None:
        _hear(_Throttle())
        try:
            self._exporter: SpanExporter = OTLPSpanExporter()
            self._provider = _provider(self._exporter)
        except (OSError, RuntimeError, ValueError) as error:
            raise SettingsError(f"the OTEL_* variables cannot be used: {error}") from error
        self.tracer = Tracer(
            self._provider.get_tracer("worker", __version__),
            settings.kafka,
            link_only=settings.tracing.link_only,
        )

    async def stop(self, timeout: float) -> None:
        """Export the spans that are left, within `timeout` seconds."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        # A daemon: where the collector does not answer, it is left behind.
        threading.Thread(target=shut_down, name="last-spans", daemon=True).start()
        try:
            async with asyncio.timeout(timeout):
                await done.wait()
        except TimeoutError:
            log.warning("spans_lost", waited_seconds=timeout)
            # It tries no more, and what it says about that is known.
            _hear(logging.NullHandler())
            self._exporter.shutdown()


def _provider(exporter: SpanExporter) -> TracerProvider:
    """Make what the variables describe, with a name for the service and room for all links.

    Raises:
        ValueError: a number is none, or is out of range.
    """
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    limited = "OTEL_SPAN_LINK_COUNT_LIMIT" in os.environ
    provider = TracerProvider(
        resource=resource,
        span_limits=SpanLimits(max_links=None if limited else MAX_LINKS),
        # `Tracing.stop` does it, within bounds; the interpreter's exit must not wait.
        shutdown_on_exit=False,
    )
    provider.sampler = _BatchesWithTheirJobs(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class _BatchesWithTheirJobs(Sampler):
    """Samples the span of a batch if one of its jobs is; all others as the variables say.

    A batch is a trace of its own: by itself it would be drawn anew, and a job that is sampled would
    mostly be linked to nothing.
    """

    def __init__(self, others: Sampler) -> None:
        self._others = others

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if name == BATCH_SPAN:  # made only where a job is sampled
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._others.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"BatchesWithTheirJobs{{{self._others.get_description()}}}"


def _hear(handler: logging.Handler) -> None:
    """Give what the SDK logs to a handler of its own."""
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [handler]
    logger.propagate = False


class _Throttle(logging.Handler):
    """Gives log records to the root's handlers, one of a kind in `BETWEEN_COMPLAINTS` seconds.

    Without it, a collector that is away fills the log: the exporter writes several lines for each
    batch of spans, the queue one for each span that it drops.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__()
        self._clock = clock
        # Invariant: bounded, since a message counts without its arguments.
        self._due: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = (record.name, record.msg), self._clock.monotonic()
        if now >= self._due.get(kind, now):
            self._due[kind] = now + BETWEEN_COMPLAINTS
            logging.getLogger().handle(record)
