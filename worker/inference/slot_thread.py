"""The thread that drives a slot, and what an event loop does itself in its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias, TypeVar

from worker.inference.arrays import Pixels, Scores
from worker.inference.protocol import SharedBatch
from worker.inference.slot import Begun, Slot

__all__ = ["SlotThread"]

T = TypeVar("T")

Answer: TypeAlias = tuple[Scores, float]
"""What `Slot.run` returns."""


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
        # Invariant: the batch that a run waits for, and what resolves to its answer; else None.
        self._awaited: tuple[Begun, asyncio.Future[Answer | None]] | None = None
        # Invariant: the descriptor that the event loop listens to, which is open; or -1.
        self._listens_to = -1

    async def call(self, call: Callable[[], T]) -> T:
        """Do something in the thread, after what it has to do already.

        Returns:
            What it returned.

        Raises:
            Exception: what it raised.
        """
        if self._awaited is None:
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
    ) -> Answer:
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
        answer = await self._answer(begun)
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

    async def _answer(self, begun: Begun) -> Answer | None:
        """Wait for the answer; None if there is no right one in time, or it takes long to read."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Answer | None] = loop.create_future()
        self._awaited = begun, heard
        self._listen()
        timer = loop.call_later(max(0.0, begun.deadline - time.monotonic()), self._hear)
        try:
            return await heard
        finally:
            self._awaited = None
            timer.cancel()

    def _listen(self) -> None:
        """Have the loop listen to the process, as it does from one run to the next one.

        To begin and to end it for each run takes longer than the answer.
        """
        descriptor = self._slot.fileno()
        if descriptor != self._listens_to:
            self._stop_listening()
            asyncio.get_running_loop().add_reader(descriptor, self._hear)
            self._listens_to = descriptor

    def _hear(self) -> None:
        """Read the answer at once: until then the loop may say again and again that it is there."""
        if self._awaited is None:
            # Nobody waits for anything: most likely the process is gone.
            self._stop_listening()
            return
        begun, heard = self._awaited
        if heard.done():
            return
        try:
            heard.set_result(self._slot.finish_at_once(begun))
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
            heard.set_exception(error)

    def _stop_listening(self) -> None:
        if self._listens_to >= 0:
            asyncio.get_running_loop().remove_reader(self._listens_to)
            self._listens_to = -1
