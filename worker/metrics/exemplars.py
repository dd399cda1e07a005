"""Exemplars: the trace that a measurement belongs to."""

from __future__ import annotations

from worker.contract.traces import sampled_trace

__all__ = ["exemplar"]


def exemplar(traceparent: str | None) -> dict[str, str] | None:
    """Make the exemplar of a measurement: the trace that it belongs to.

    Args:
        traceparent: the W3C's header of the job or request, if it has one.

    Returns:
        The exemplar's labels; None if the job belongs to no trace that somebody keeps.
    """
    trace = sampled_trace(traceparent)
    return None if trace is None else {"trace_id": trace}
