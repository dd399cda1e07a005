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
        # Invariant: resolved when the process has answered the run that waits for it; else None.
        self._heard: asyncio.Future[None] | None = None
        # Invariant: the descriptor that the event loop listens to, which is open; or -1.
        self._listens_to = -1

    async def call(self, call: Callable[[], T]) -> T:
        """Do something in the thread, after what it has to do already.

        Returns:
            What it returned.

        Raises:
            Exception: what it raised.
        """
        if self._heard is None:
            # What the thread reads is not for the loop, and it may close the descriptor.
            self._stop_listening()
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
        await self._readable(begun.deadline)
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

    async def _readable(self, deadline: float) -> None:
        """Wait until the process has said something, or until `deadline`, on `time.monotonic`."""
        loop = asyncio.get_running_loop()
        self._heard = loop.create_future()
        self._listen()
        timer = loop.call_later(max(0.0, deadline - time.monotonic()), self._wake)
        try:
            await self._heard
        finally:
            self._heard = None
            timer.cancel()

    def _listen(self) -> None:
        """Have the loop listen to the process, as it does from one run to the next one.

        To begin and to end it for each run takes longer than the answer.
        """
        descriptor = self._slot.fileno()
        if descriptor != self._listens_to:
            self._stop_listening()
            asyncio.get_running_loop().add_reader(descriptor, self._wake)
            self._listens_to = descriptor

    def _wake(self) -> None:
        if self._heard is None:
            # Nobody waits, so nobody reads: most likely the process is gone.
            self._stop_listening()
        elif not self._heard.done():
            self._heard.set_result(None)

    def _stop_listening(self) -> None:
        if self._listens_to >= 0:
            asyncio.get_running_loop().remove_reader(self._listens_to)
            self._listens_to = -1
