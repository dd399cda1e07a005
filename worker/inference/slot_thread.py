"""The thread that drives a slot, and what an event loop does itself in its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from worker.inference.arrays import Pixels, Scores
from worker.inference.protocol import SharedBatch
from worker.inference.slot import Slot

__all__ = ["SlotThread"]

T = TypeVar("T")


class SlotThread:
    """Drives one slot; for one event loop.

    Args:
        slot: blocks; only ever called in the thread, but for what never waits.
        index: names the thread.

    Attributes:
        stages: whether a second thread puts the next batch together while one is computed.
    """

    def __init__(self, slot: Slot, index: int) -> None:
        self._slot = slot
        self._thread = ThreadPoolExecutor(1, f"slot-{index}")
        self.stages = slot.buffers > 1
        self._staging = ThreadPoolExecutor(1, f"stage-{index}") if self.stages else None

    async def call(self, call: Callable[[], T]) -> T:
        """Do something in the thread, after what it has to do already.

        Returns:
            What it returned.

        Raises:
            Exception: what it raised.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def run(
        self,
        crops: Sequence[Pixels],
        *,
        solo: bool,
        buffer: int,
        staged: SharedBatch | None,
    ) -> tuple[Scores, float]:
        """Run the slot as `Slot.run` does, but in its thread only what takes long.

        To wake a thread, and to be woken by it, takes longer than what it would do for an image.

        Returns:
            As `Slot.run`.

        Raises:
            PredictorError: as `Slot.run` does.
        """
        slot = self._slot
        begun = slot.begin_at_once(crops, solo=solo, buffer=buffer, staged=staged)
        if begun is None:
            run = partial(slot.run, crops, solo=solo, buffer=buffer, staged=staged)
            return await self.call(run)
        await _readable(slot.fileno(), begun.deadline)
        answer = slot.finish_at_once(begun)
        if answer is None:
            # Mostly none in time, or a wrong one: what became of the process is to be found out.
            answer = await self.call(partial(slot.finish, begun))
        return answer

    async def stage(self, crops: Sequence[Pixels], buffer: int) -> SharedBatch | None:
        """Put a batch together in the second thread, as `Slot.stage` does.

        Returns:
            The memory that holds it, for `run`; None without a process.

        Raises:
            ValueError: an image does not fit.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._staging, self._slot.stage, crops, buffer)

    def shut_down(self) -> None:
        """End the threads once they have done what they were given; waits for nothing."""
        for thread in filter(None, (self._thread, self._staging)):
            thread.shutdown(wait=False)


async def _readable(descriptor: int, deadline: float) -> None:
    """Wait until a descriptor can be read, or until `deadline`, on `time.monotonic`."""
    loop = asyncio.get_running_loop()
    heard = loop.create_future()

    def wake() -> None:
        if not heard.done():
            heard.set_result(None)

    timer = loop.call_later(max(0.0, deadline - time.monotonic()), wake)
    loop.add_reader(descriptor, wake)
    try:
        await heard
    finally:
        loop.remove_reader(descriptor)
        timer.cancel()
