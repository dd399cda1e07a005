"""A tracer that keeps its spans, for tests that look at them where they are made."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from worker.settings import KafkaSettings
from worker.tracing.tracer import Tracer

__all__ = ["Traces"]

TOPICS = KafkaSettings(jobs_topic="jobs", results_topic="results", dead_letters_topic="dead")


class Traces:
    """A tracer of a worker with the topics `jobs`, `results` and `dead`.

    Attributes:
        tracer: keeps what its jobs' producers sample.
    """

    def __init__(self, *, link_only: bool = False) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(ParentBased(ALWAYS_ON), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = Tracer(provider.get_tracer("test"), TOPICS, link_only=link_only)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """All that have ended, by name."""
        return {span.name: span for span in self._exporter.get_finished_spans()}
