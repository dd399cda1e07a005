"""What crosses between the worker and an image process for a call: its content, and its result.

What is large is copied in a thread, since the event loop would be held up by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from worker.clock import Clock
from worker.errors import Stage
from worker.imaging.call import Call, DiedError
from worker.imaging.fleet import Fleet
from worker.imaging.process import LARGE, ImageProcess
from worker.imaging.protocol import Accounted, Drawn, Prepared, Reply, Shortage
from worker.imaging.replies import check_reply, error_of
from worker.imaging.slow_calls import SlowCalls
from worker.imaging.usage import Usage
from worker.imaging.waiting import WaitingCalls

__all__ = ["Exchange"]


class Exchange:
    """Gives calls to image processes, and answers them; for one event loop.

    Args:
        max_pixels: of an image.
        waiting: takes back the cells of calls that fail.
        slow: watches the calls that processes have.

    Attributes:
        on_room: called when a process may take another call.
        on_unbegun: called with a call that a process had and did not begin.
    """

    def __init__(
        self,
        max_pixels: int,
        fleet: Fleet,
        waiting: WaitingCalls,
        slow: SlowCalls,
        usage: Usage,
        clock: Clock,
    ) -> None:
        self.on_room: Callable[[], None] = lambda: None
        self.on_unbegun: Callable[[Call], None] = lambda _: None
        self._max_pixels = max_pixels
        self._fleet = fleet
        self._waiting = waiting
        self._slow = slow
        self._usage = usage
        self._clock = clock
        self._copying: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Copy nothing more."""
        for task in self._copying:
            task.cancel()

    def give(self, process: ImageProcess, call: Call) -> None:
        """Have a process do a call; it has a free lane."""
        call.lane = process.lanes.pop()
        if len(call.content) > LARGE:
            # Not in the loop, which it would hold up.
            self._begin(self._write_and_send(process, call))
            return
        try:
            process.write(call.lane, call.content)
        except OSError:
            self._refuse_unwritten(process, call)
        else:
            self._send(process, call)

    def _refuse_unwritten(self, process: ImageProcess, call: Call) -> None:
        """The system has no memory for what a call is about."""
        self._end(process, call)
        self._fail(call, Shortage())
        self._fleet.settle(process)

    async def _write_and_send(self, process: ImageProcess, call: Call) -> None:
        try:
            with process.using():
                await asyncio.to_thread(process.write, call.lane, call.content)
        except OSError:
            self._refuse_unwritten(process, call)
        else:
            if process.closed or not call.wanted:
                self._end(process, call)
                self.on_unbegun(call)
                self._fleet.settle(process)
            else:
                self._send(process, call)
        self.on_room()

    def _begin(self, copying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(copying)
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)

    def _send(self, process: ImageProcess, call: Call) -> None:
        if not process.calls:
            process.since = self._clock.monotonic()
        call.told = 0
        process.calls.append(call)
        message = {**call.message, "call": call.number, "lane": call.lane, "cell": call.cell}
        if "early" in message and not self._fleet.has_spare:
            # In two parts a picture takes more time in all, which is what counts in a crowd.
            message["early"] = None
        process.send(message)
        if self._slow.timer is None:
            self._slow.watch()

    def drop(self, process: ImageProcess, picture: int) -> None:
        """Have a process forget a picture, if it still has it."""
        if process.pictures.pop(picture, None) is not None and not process.closed:
            process.send({"withdraw": picture})
            self._fleet.settle(process)
            # It may have had too many to take another call.
            self.on_room()

    # What processes say.

    def hear(self, process: ImageProcess, call: Call, reply: Reply) -> None:
        """Take in what a process says of its first call.

        Raises:
            NonsenseError: it is no answer to this call.
        """
        check_reply(reply, call, process.pictures, self._max_pixels)
        if isinstance(reply, Accounted):
            call.told += 1
            call.account(reply.nbytes)
            return
        self.note_busy(process)
        process.calls.popleft()
        match reply:
            case Drawn(length) if not call.wanted:
                process.pictures.pop(call.message["picture"], None)
                self._end(process, call, length)
            case Prepared(None):
                self._end(process, call)
                self._succeed(process, call, None)
            case Prepared((height, width)) if call.message["whole"]:
                self._fetch(process, call, height * width * 3, (height, width))
            case Prepared((height, width)):
                process.pictures[call.number] = height * width * 3
                self._end(process, call)
                self._succeed(process, call, None)
            case Drawn(length):
                process.pictures.pop(call.message["picture"], None)
                self._fetch(process, call, length, None)
            case _:
                self._end(process, call)
                self._fail(call, reply)
        self._fleet.settle(process)
        self.on_room()

    def note_busy(self, process: ImageProcess) -> None:
        """Count the time of a process's first call, which has ended; the next one's begins."""
        now = self._clock.monotonic()
        self._usage.add_busy(now - process.since)
        process.since = now

    def _succeed(self, process: ImageProcess, call: Call, result: object) -> None:
        if not call.wanted:
            self._waiting.free_cell(call)
            self.drop(process, call.number)
            return
        call.settle((process, call, result) if call.stage is Stage.DECODE else result)

    def _fail(self, call: Call, reply: Reply) -> None:
        self._waiting.free_cell(call)
        if (error := error_of(reply)) is not None:
            call.settle(error=error)

    def _fetch(
        self, process: ImageProcess, call: Call, length: int, shape: tuple[int, int] | None
    ) -> None:
        """Take a result out of the lane's file."""
        if length <= LARGE:
            self._take(process, call, process.read(call.lane, length), length, shape)
            return

        async def fetch() -> None:
            try:
                with process.using():
                    data = await asyncio.to_thread(process.read, call.lane, length)
            except (MemoryError, OSError):
                self._end(process, call, length)
                self._fail(call, Shortage())
            else:
                self._take(process, call, data, length, shape)
            self._fleet.settle(process)
            self.on_room()

        self._begin(fetch())

    def _take(
        self,
        process: ImageProcess,
        call: Call,
        data: bytearray,
        length: int,
        shape: tuple[int, int] | None,
    ) -> None:
        self._end(process, call, length)
        if len(data) != length:
            self._waiting.free_cell(call)
            call.settle(error=DiedError("crash", "a result that is not there"))
        else:
            self._succeed(process, call, data if shape is None else (data, shape))

    def _end(self, process: ImageProcess, call: Call, length: int = 0) -> None:
        """Have the call's lane used again."""
        # Not by its content, which is gone once it is withdrawn.
        if max(length, call.message.get("length", 0)) > LARGE and not process.closed:
            process.empty(call.lane)
        process.lanes.append(call.lane)
