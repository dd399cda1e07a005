"""Late-binding micro-batches: a batch is formed when a predictor is free for it, not before.

While all predictors are busy, ready images wait and the next batch fills itself; a timer would only
add latency. `linger` is for GPUs, where a fuller batch can be worth a short wait of an idle
predictor.
"""

from __future__ import annotations

import asyncio
import enum
import heapq
import itertools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from worker.tracing.tracer import SpanContext

__all__ = ["Batch", "Batcher", "CloseReason", "Ticket"]

T = TypeVar("T")
R = TypeVar("R")


class Timers(Protocol):
    """What the batcher needs of an event loop."""

    def time(self) -> float:
        """Seconds, monotonic."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call `callback` at a time of this clock, unless the handle is cancelled before."""
        ...


class CloseReason(enum.StrEnum):
    """Why a batch was closed; values are metric labels."""

    FULL = "full"
    """It reached the largest size."""
    SHARED = "shared"
    """Other predictors were free too, so the ready images were split among them."""
    DRAINED = "drained"
    """It took all that was ready."""
    LINGERED = "lingered"
    """The oldest image had waited for `linger`."""


@dataclass(slots=True, eq=False)
class Ticket(Generic[T, R]):
    """One image waiting for its answer.

    Attributes:
        urgency: the smaller, the sooner it is batched; seconds on any one clock.
        most: images of the largest batch that it may be in.
        ready_at: when it was submitted, loop time.
        origin: what its batch's span is linked to; None without tracing.
        result: resolves to the answer; cancel it to withdraw an image that is not yet in a batch.
    """

    item: T
    urgency: float
    most: int
    ready_at: float
    origin: SpanContext | None
    result: asyncio.Future[R] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch(Generic[T, R]):
    """Tickets that go through the predictor together, most urgent first; never empty.

    Attributes:
        idle_slots: other slots that were free, and stay so since nothing else is ready.
    """

    tickets: list[Ticket[T, R]]
    reason: CloseReason
    idle_slots: int = 0


class Batcher(Generic[T, R]):
    """Holds ready images until a predictor slot asks for a batch; for one event loop.

    Args:
        max_batch: most images per batch; may be changed at any time.
        linger: seconds that the oldest image waits for a fuller batch while a slot is free.
        timers: tells the time and calls back; the running loop when None.
    """

    def __init__(
        self,
        max_batch: int,
        linger: float = 0.0,
        *,
        timers: Timers | None = None,
    ) -> None:
        self.max_batch = max_batch
        self.linger = linger
        self._timers: Timers = timers or asyncio.get_running_loop()
        self._order = itertools.count()
        # Invariant: holds every ticket that is in no batch; withdrawn ones are skipped when met.
        self._ready: list[tuple[float, int, Ticket[T, R]]] = []
        # Invariant: a slot in here is free and owns one future, resolved when it should look again.
        # It stays until it runs, so that images which come in one turn of the loop are shared among
        # all that they wake.
        self._free_slots: list[asyncio.Future[None]] = []
        # Invariant: a slot in here is busy, and would take a full batch; each owns one future.
        self._busy_slots: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Images waiting for a batch."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether a slot waits for images, and no image for a slot."""
        return bool(self._free_slots) and not self._ready

    def submit(
        self,
        item: T,
        urgency: float,
        most: int | None = None,
        origin: SpanContext | None = None,
    ) -> Ticket[T, R]:
        """Queue an image that is ready.

        Args:
            item: what the predictor is given.
            urgency: the smaller, the sooner it is batched; seconds on any one clock.
            most: images of the largest batch that it may be in; None leaves it to `max_batch`.
            origin: what the batch's span is linked to; None without tracing.

        Returns:
            Its ticket, whose `result` resolves to the answer.
        """
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        ticket = Ticket(item, urgency, most or sys.maxsize, self._timers.time(), origin, result)
        self._push(ticket)
        self._wake_one()
        return ticket

    def put_back(self, tickets: list[Ticket[T, R]]) -> None:
        """Queue tickets again, with the urgency and the waiting time that they have already."""
        for ticket in tickets:
            self._push(ticket)
        self._wake_one()

    async def take(self, *, preferred: bool = False) -> Batch[T, R]:
        """Wait for the next batch that is due, for a free slot.

        Args:
            preferred: whether this slot is woken before others that are free too.

        Returns:
            The batch, most urgent first.
        """
        while True:
            self._drop_withdrawn()
            if self._ready and (batch := self._close_batch()) is not None:
                # What is left may be due for another free slot.
                self._wake_one()
                return batch
            await self._wait(preferred=preferred)

    async def take_full(self, until: asyncio.Future[Any]) -> Batch[T, R] | None:
        """Wait for a batch that more images could not join, for a slot that is busy until then.

        One that could grow stays here until a slot is free, and slots that are free come first.

        Args:
            until: is done when the slot is free.

        Returns:
            The batch, most urgent first; None when `until` is done before there is one.
        """
        try:
            while not until.done():
                self._drop_withdrawn()
                if not self._free_slots and self._is_full():
                    return self._close_batch()
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._busy_slots.append(waiter)
                try:
                    await asyncio.wait((waiter, until), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._busy_slots.remove(waiter)
            return None
        finally:
            # For what is left, and so that a wake-up is not lost with this slot.
            self._wake_one()

    def _is_full(self) -> bool:
        return bool(self._ready) and len(self._ready) >= min(self.max_batch, self._ready[0][2].most)

    def _push(self, ticket: Ticket[T, R]) -> None:
        heapq.heappush(self._ready, (ticket.urgency, next(self._order), ticket))

    def _drop_withdrawn(self) -> None:
        if any(ticket.result.done() for _, _, ticket in self._ready):
            self._ready = [entry for entry in self._ready if not entry[2].result.done()]
            heapq.heapify(self._ready)

    def _close_batch(self) -> Batch[T, R] | None:
        """The batch that is due now, or None while it should linger."""
        count = len(self._ready)
        if count >= self.max_batch:
            # Several free slots share even a full queue: two halves in parallel beat one whole.
            size, reason = self.max_batch, CloseReason.FULL
        elif self.linger > 0 and not self._lingered():
            return None
        else:
            size, reason = count, CloseReason.LINGERED if self.linger > 0 else CloseReason.DRAINED
        share = math.ceil(count / (len(self._free_slots) + 1))
        if share < size:
            size, reason = share, CloseReason.SHARED
        tickets = [heapq.heappop(self._ready)[2]]
        most = tickets[0].most
        while len(tickets) < size:
            # A batch is no larger than each of its images allows.
            most = min(most, self._ready[0][2].most)
            if len(tickets) >= most:
                reason = CloseReason.FULL
                break
            tickets.append(heapq.heappop(self._ready)[2])
        return Batch(tickets, reason, 0 if self._ready else len(self._free_slots))

    def _lingered(self) -> bool:
        # The timer belongs to the oldest image and is never restarted by a younger one.
        due = min(ticket.ready_at for _, _, ticket in self._ready) + self.linger
        if self._timers.time() >= due:
            return True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timers.call_at(due, self._wake_one)
        return False

    async def _wait(self, *, preferred: bool) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._free_slots.insert(0 if preferred else len(self._free_slots), waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                # The wake-up meant for this slot would be lost with it.
                self._wake_one()
            raise
        finally:
            self._free_slots.remove(waiter)

    def _wake_one(self) -> None:
        # A free slot that has been woken wakes the next one when it has run.
        slots = self._free_slots or (self._busy_slots if self._is_full() else ())
        asleep = (waiter for waiter in slots if not waiter.done())
        if self._ready and (waiter := next(asleep, None)) is not None:
            waiter.set_result(None)
