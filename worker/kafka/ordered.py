"""What both ordered ways of delivery share: jobs wait for all jobs before them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from worker.kafka.parcel import Parcel
from worker.kafka.publisher import stamped

if TYPE_CHECKING:
    from worker.tracing.tracer import Tracer

__all__ = ["Line", "deliver_in_order"]


class Line(Protocol):
    """Where one partition's parcels wait, in the order of their records."""

    def put(self, parcels: Sequence[Parcel]) -> None:
        """Have parcels delivered after all that were put here before."""
        ...


async def deliver_in_order(parcel: Parcel, line: Line | None, tracer: Tracer | None) -> None:
    """Put a parcel in line once all jobs before it have ended, and wait until it is delivered.

    Args:
        line: its partition's; None if the partition is just being given up, and the job with it.
        tracer: makes spans of its messages; they include the waiting. None without tracing.
    """
    if line is None:
        await parcel.delivered  # never: the job is about to be cancelled
    elif tracer is None:
        await _deliver(parcel, line)
    else:
        await _deliver_with_spans(parcel, line, tracer)


async def _deliver_with_spans(parcel: Parcel, line: Line, tracer: Tracer) -> None:
    with ExitStack() as spans:
        sendings = []
        for number, outgoing in enumerate(parcel.messages):
            sending = spans.enter_context(tracer.send(outgoing.topic, outgoing.message))
            parcel.messages[number] = stamped(outgoing, sending.stamp)
            sendings.append((outgoing.topic, sending))
        await _deliver(parcel, line)
        for topic, sending in sendings:
            for refused in parcel.refused:
                if refused.topic == topic:
                    sending.refused(refused.name)


async def _deliver(parcel: Parcel, line: Line) -> None:
    released = parcel.state.order.settle(parcel.record.offset, parcel)
    # It is empty while a job before this one has not ended.
    line.put([each for _, each in released if each is not None])
    await parcel.delivered
