"""The context of a span as messages and requests carry it: `traceparent` and `tracestate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker.contract.records import Message
from worker.contract.traces import TRACEPARENT, TRACESTATE

__all__ = ["links_to", "read_context", "stamp"]

_FIELDS = (TRACEPARENT, TRACESTATE)
_W3C = TraceContextTextMapPropagator()


def read_context(headers: Iterable[tuple[str, bytes | None]]) -> Context:
    """Read the context that a message came with; one that is not valid counts as none.

    Of several headers of a name the last one counts, as for all headers.

    Returns:
        A context with the producer's span, or without any.
    """
    carrier = {
        name.lower(): (value or b"").decode("ascii", "replace")
        for name, value in headers
        if name.lower() in _FIELDS
    }
    return _W3C.extract(carrier, Context())


def links_to(context: Context) -> list[Link]:
    """Make the links of a span to what a message came with.

    Returns:
        One link; none where the context has no span.
    """
    span = get_current_span(context).get_span_context()
    return [Link(span)] if span.is_valid else []


def stamp(span: Span, message: Message) -> Message:
    """Make a message carry a span's context, in place of any that it has.

    Returns:
        The message with exactly one `traceparent`, and with the `tracestate` of the span's trace.
    """
    own: dict[str, str] = {}
    _W3C.inject(own, set_span_in_context(span, Context()))
    kept = (header for header in message.headers if header[0].lower() not in _FIELDS)
    stamps = ((name, value.encode()) for name, value in own.items())
    return replace(message, headers=(*kept, *stamps))
