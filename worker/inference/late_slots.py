"""Slots that join the first one once images wait for it.

A caller with one image at a time is answered soonest, and starts soonest, with one process that has
all cores. A stream of images is computed fastest by a process for each group of cores, and then
each of them costs a second to start and a copy of the network. So the others start when the first
one has been overtaxed for about as long as that takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from worker.clock import SYSTEM_CLOCK, Clock
from worker.logs import get_logger

__all__ = ["LateSlots"]

OVERTAXED = 1.0
"""Seconds in which images found the first slot busy, after which the others start."""

log = get_logger(__name__)


class LateSlot(Protocol):
    """A slot whose backend is chosen; `SlotSupervisor`."""

    async def start(self) -> None:
        """Have its process up.

        Raises:
            Exception: it cannot be started.
        """
        ...

    def serve(self) -> None:
        """Take batches from now on."""
        ...

    async def share(self, others: int) -> None:
        """Leave the cores of `others` to them."""
        ...


class LateSlots:
    """Starts other slots beside the first one when that pays; for one event loop.

    Args:
        first: serves, on all cores.
        others: are yet to start.
    """

    def __init__(
        self, first: LateSlot, others: Sequence[LateSlot], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._first = first
        self._others = others
        self._clock = clock
        # Invariant: images under way that found the slot busy, and since when there are any.
        self._waiting = 0
        self._since = 0.0
        self._spent = 0.0
        self._joining: asyncio.Task[None] | None = None
        self._ended = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count an image that found the first slot busy, until it has its answer."""
        if self._waiting == 0:
            self._since = self._clock.monotonic()
        self._waiting += 1
        try:
            yield
        finally:
            now = self._clock.monotonic()
            self._spent += now - self._since
            self._since = now
            self._waiting -= 1
            if self._spent >= OVERTAXED and self._joining is None and not self._ended:
                self._joining = asyncio.create_task(self._join(), name="late-slots")

    async def stop(self) -> None:
        """Start no more of them. What is being started is interrupted by its own end."""
        self._ended = True
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.wait((self._joining,))

    async def _join(self) -> None:
        starts = (slot.start() for slot in self._others)
        found = await asyncio.gather(*starts, return_exceptions=True)
        joined = [slot for slot, error in zip(self._others, found, strict=True) if error is None]
        for slot in joined:
            slot.serve()
        for error in found:
            if error is not None:
                # As for want of memory: those that serve go on.
                log.warning("slot_not_joined", error=str(error))
        if joined:
            await self._first.share(len(joined))
