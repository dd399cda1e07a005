"""A batch on its way through a slot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.inference.arrays import Pixels, Scores
from worker.inference.batcher import Batch
from worker.inference.isolation import Poisoned
from worker.inference.protocol import SharedBatch

if TYPE_CHECKING:
    from worker.tracing.tracer import SpanContext

__all__ = ["Work"]


@dataclass(slots=True)
class Work:
    """A batch for the slot.

    Attributes:
        buffer: of the memory that is shared with the process: where the batch is or will be.
        staged: the memory that holds it already, or None; for one run.
        answers: of its images, once they are known.
        waited: seconds for which each image had waited when the slot took it.
        runs: images and seconds of each run that succeeded.
    """

    batch: Batch[Pixels, Scores | Poisoned]
    buffer: int = 0
    staged: SharedBatch | None = None
    answers: Sequence[Scores | Poisoned] = ()
    waited: Sequence[float] = ()
    runs: list[tuple[int, float]] = field(default_factory=list)

    def waits(self) -> Iterator[tuple[SpanContext | None, float]]:
        """The origin of each image, and the seconds that it has waited for its batch."""
        now = asyncio.get_running_loop().time()
        for ticket in self.batch.tickets:
            yield ticket.origin, max(0.0, now - ticket.ready_at)

    def hand_out(self) -> None:
        """Give callers their answers; does nothing without any."""
        for ticket, answer in zip(self.batch.tickets, self.answers, strict=False):
            # The future of a withdrawn image is cancelled.
            if not ticket.result.done():
                ticket.result.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Have callers that still wait get an error."""
        for ticket in self.batch.tickets:
            if not ticket.result.done():
                ticket.result.set_exception(error)
