"""Which call goes to which image process, and what becomes of the calls of one that is gone.

One call runs in a process and one waits behind it, so that the process is never idle; all others
wait here, where they cost nothing. The most urgent goes first, once there is a cell for its crop.

A process that ends in a call is replaced at once. Calls that it had not begun go elsewhere, and
nobody is to blame for them. A call that lasts long costs its process its place (`Role.ASIDE`), so
that others need not wait until it is done or given up.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import Stage
from worker.imaging.call import Call, DiedError, LostError, OrphanedError
from worker.imaging.crops import CropCells
from worker.imaging.fleet import Fleet
from worker.imaging.nursery import Nursery
from worker.imaging.process import LARGE, ImageProcess, Role
from worker.imaging.protocol import LANES, Accounted, Drawn, Prepared, Reply, Setup, Shortage
from worker.imaging.replies import check_reply, error_of
from worker.imaging.sole import SoleCalls
from worker.imaging.usage import Usage
from worker.imaging.waiting import WaitingCalls
from worker.logs import get_logger
from worker.metrics import Metrics

__all__ = ["ProcessPool"]

ASIDE_AFTER = 1.0
"""Seconds after which the others wait for a call no longer."""

MOST_ASIDE = MOST_ALONE = 4
"""Processes that may be aside, or have a call alone, for each regular one."""

PICTURES_SHARE = 4
"""A process whose pictures take more than this part of its memory gets no more for now."""

GIVE_WAY_AFTER = 10.0
"""Seconds after which a call that is aside is ended for another, if no more may be aside. It is
tried again alone, with all its time."""

MOST_LOST = 3
"""Processes that may end with a call as their first one and in none; then it has the blame."""

TICK = 0.2
"""Seconds between two looks at how long calls last."""

log = get_logger(__name__)


class ProcessPool:
    """Image processes; for one event loop.

    Args:
        count: processes that take calls.
        setup: what they have in common.
        cells: where crops go.
        timeout: seconds after which a call is given up.
        nursery: forks them; started here if it was not before.
    """

    def __init__(
        self,
        count: int,
        setup: Setup,
        cells: CropCells,
        timeout: float,
        metrics: Metrics,
        *,
        nursery: Nursery | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._count = count
        self._setup = setup
        self._cells = cells
        self._timeout = timeout
        self._metrics = metrics
        self._clock = clock
        self._numbers = itertools.count(1)
        self._waiting = WaitingCalls(cells)
        self._sole = SoleCalls()
        self._fleet = Fleet(count, setup, cells, nursery or Nursery(), clock)
        # Calls that take long must not keep others from being begun.
        cells.aside = self._fleet.cells_aside
        self._fleet.on_reply = self._hear
        self._fleet.on_end = self._settle_calls
        self._fleet.on_change = self._dispatch
        self._watch: asyncio.TimerHandle | None = None
        self._copying: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._usage = Usage(metrics, clock, self._fleet, self._queued)
        self.show = self._usage.show
        self.start = self._fleet.start

    @property
    def stalled(self) -> bool:
        """Whether no image process could be had for a while."""
        return self._fleet.stalled

    @property
    def busy(self) -> int:
        """How many processes have a call."""
        return sum(bool(process.calls) for process in self._fleet)

    @property
    def pids(self) -> list[int]:
        """The processes that are up, the one that forks them first."""
        return self._fleet.pids

    def stop(self) -> None:
        """End all processes, at once; who waits for a call gets no answer."""
        self._stopped = True
        for task in (self._watch, *self._copying):
            if task is not None:
                task.cancel()
        for call in (*self._waiting, *self._sole, *self._fleet.calls()):
            if call.answer is not None:
                call.answer.cancel()
        self._fleet.stop()

    def number(self) -> int:
        """A number for a call."""
        return next(self._numbers)

    async def ask(self, call: Call, holder: ImageProcess | None = None) -> object:
        """Have a process do something; cancelling withdraws the call.

        Args:
            holder: the process that must do it; None leaves that to the pool.

        Returns:
            What `Call.answer` resolves to.

        Raises:
            JobError: the image cannot be used.
            MemoryError: the system has no memory left.
            DiedError: the process ended in this call.
            LostError: the holder has ended, in another call.
            OrphanedError: all processes have, with the one that forks them.
        """
        if holder is not None and (holder.closed or (holder.role is Role.ASIDE and holder.calls)):
            raise LostError
        if call.sole:
            self._sole.add(call, holder)
        elif holder is not None:
            holder.draws.append(call)
        else:
            self._waiting.add(call)
        self._dispatch()
        assert call.answer is not None, "a call is made once"
        try:
            return await call.answer
        except asyncio.CancelledError:
            self._withdraw(call, holder)
            raise
        finally:
            # The future, its exception, the traceback and the frames that have the call would be a
            # reference cycle, and hold the image until garbage is collected.
            call.answer = None

    def drop(self, process: ImageProcess, picture: int) -> None:
        """Have a process forget a picture, if it still has it."""
        if process.pictures.pop(picture, None) is not None and not process.closed:
            process.send({"withdraw": picture})
            self._fleet.settle(process)
            # It may have had too many to take another call.
            self._dispatch()

    def free(self, cell: int) -> None:
        """Give a crop's cell back."""
        self._cells.give_back(cell)
        self._dispatch()

    # Which call goes where.

    def _dispatch(self) -> None:
        if self._stopped or (self._sole.hold_others and self._give_sole()):
            return
        for process in self._fleet:
            while process.draws and process.lanes and not process.closed:
                call = process.draws.popleft()
                if not call.withdrawn:
                    self._give(process, call)
        most = MOST_ALONE * self._count
        while (
            self._waiting.has_alone
            and self._fleet.in_role(Role.ALONE) < most
            and self._waiting.next_alone() is not None
        ):
            if (own := self._fleet.fork(Role.ALONE)) is None:
                break
            self._give(own, self._waiting.take_alone())
        # This is asked several times for each image, and mostly no call waits, or for a cell.
        while self._waiting.has_next and (free := self._least_busy()) is not None:
            if (next_call := self._waiting.next()) is None:
                break
            self._give(free, next_call)

    def _give_sole(self) -> bool:
        """Give a process the call that must be the only one, once no process has any.

        Returns:
            Whether all others have to wait for such a call.
        """
        # More than once if a call that is given ends at once, since there is no memory for it.
        while (next_call := self._sole.next(quiet=self._quiet)) is not None:
            call, holder = next_call
            # Pictures are drawn only when no such call waits, so it must not wait for them.
            process = holder or self._least_busy() or self._least_busy(most=math.inf)
            if process is None or not self._waiting.have_cell(call):
                break
            self._sole.begin()
            self._give(process, call)
        return self._sole.hold_others

    @property
    def _quiet(self) -> bool:
        """Whether no process has any call."""
        return all(len(process.lanes) == LANES for process in self._fleet)

    def _least_busy(self, most: float | None = None) -> ImageProcess | None:
        """The regular process with most free lanes, if it holds at most so many bytes of pictures.

        Args:
            most: `PICTURES_SHARE` of its memory unless given.
        """
        most = self._setup.memory // PICTURES_SHARE if most is None else most
        best, lanes = None, 0
        for process in self._fleet:
            free = len(process.lanes)
            if free > lanes and process.role is Role.REGULAR and process.picture_bytes <= most:
                best, lanes = process, free
        return best

    def _give(self, process: ImageProcess, call: Call) -> None:
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
                self._add_again(call)
                self._fleet.settle(process)
            else:
                self._send(process, call)
        self._dispatch()

    def _begin(self, copying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(copying)
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)

    def _send(self, process: ImageProcess, call: Call) -> None:
        if not process.calls:
            process.since = self._clock.monotonic()
        call.told = 0
        process.calls.append(call)
        process.send({**call.message, "call": call.number, "lane": call.lane, "cell": call.cell})
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(TICK, self._look)

    def _withdraw(self, call: Call, holder: ImageProcess | None) -> None:
        call.withdrawn, call.content = True, b""
        for process in self._fleet if holder is None else [holder]:
            if call in process.calls and not process.closed:
                # Its cell stays taken until the process has said that it is done.
                process.send({"withdraw": call.number})
        self._waiting.withdraw(call)
        answer = call.answer
        assert answer is not None, "its caller still waits"
        answered = answer.done() and not answer.cancelled() and answer.exception() is None
        if answered and call.stage is Stage.DECODE:
            # In the very moment in which its caller was cancelled.
            process, done, _ = answer.result()
            self._waiting.free_cell(done)
            self.drop(process, done.number)
        # What it had may be what others wait for.
        self._dispatch()

    # What processes say.

    def _hear(self, process: ImageProcess, call: Call, reply: Reply) -> None:
        check_reply(reply, call, process.pictures, self._setup.max_pixels)
        if isinstance(reply, Accounted):
            call.told += 1
            call.account(reply.nbytes)
            return
        self._note_busy(process)
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
        self._dispatch()

    def _note_busy(self, process: ImageProcess) -> None:
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
            self._dispatch()

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

    # How long calls last.

    def _look(self) -> None:
        self._watch = None
        now = self._clock.monotonic()
        busy = [process for process in self._fleet if process.calls]
        for process in busy:
            if not process.calls:
                continue  # lost meanwhile
            lasts = now - process.since
            if lasts >= self._timeout:
                self._fleet.kill(process, "timeout")
            elif lasts >= ASIDE_AFTER and process.role is Role.REGULAR:
                self._put_aside(process)
        waits = self._fleet.check()
        if (busy or waits) and not self._stopped:
            self._watch = asyncio.get_running_loop().call_later(TICK, self._look)

    def _put_aside(self, process: ImageProcess) -> None:
        if self._fleet.in_role(Role.ASIDE) >= MOST_ASIDE * self._count:
            self._make_room_aside()
            return
        self._fleet.put_aside(process)
        for call in list(process.calls)[1:]:
            process.send({"withdraw": call.number})
            # What has its number stays with this process, and keeps its cell until that is done.
            elsewhere = replace(call, number=self.number(), lane=-1, cell=None)
            call.withdrawn = True
            self._waiting.add_again(elsewhere)
        for call in process.draws:
            self._waiting.add_again(call)
        process.draws.clear()
        self._dispatch()

    def _make_room_aside(self) -> None:
        aside = (one for one in self._fleet if one.role is Role.ASIDE and one.calls)
        longest = min(aside, key=lambda one: one.since, default=None)
        if longest and self._clock.monotonic() - longest.since >= GIVE_WAY_AFTER:
            self._fleet.kill(longest, "timeout")

    # Processes that end.

    def _settle_calls(self, process: ImageProcess, died: DiedError | None, cpu: float) -> None:
        """Blame the call that ran, and have the others done elsewhere."""
        self._usage.add_ended(process, cpu)
        if process.calls:
            self._note_busy(process)
        orphaned = died is not None and died.cause == "parent"
        if died is not None and died.cause != "surplus":
            self._metrics.image_process_restarts.labels(died.cause).inc()
            if not orphaned:
                log.warning(
                    "image_process_died",
                    pid=process.pid,
                    cause=died.cause,
                    how=died.how,
                    in_call=bool(process.ended_in),
                )
        first = process.calls[0] if process.calls else None
        for call in (*process.calls, *process.draws):
            ran = call.number == process.ended_in
            begun = ran or (call is first and process.proved)
            if orphaned and call.wanted and (begun or call.stage is Stage.DRAW):
                # Any call that ran may be the cause: who makes it again finds out.
                self._waiting.free_cell(call)
                call.settle(error=OrphanedError(begun=begun))
                continue
            blamed = ran and died is not None and not orphaned
            if begun and not ran and died is not None and not orphaned:
                # Which call it is in is for the process to say, and it may have been taken over.
                call.lost += 1
                blamed = call.lost >= MOST_LOST
            if blamed and not call.withdrawn:
                self._waiting.free_cell(call)
                call.settle(error=died)
            else:
                self._add_again(call)
        process.calls.clear()
        process.draws.clear()

    def _add_again(self, call: Call) -> None:
        """Have a call that was not begun done by another process."""
        if call.sole and call.wanted and call.stage is Stage.DECODE:
            self._waiting.free_cell(call)
            self._sole.add_again(call)
        else:
            self._waiting.add_again(call)

    def _queued(self) -> Iterator[Stage]:
        """The stage of each call that waits."""
        held = ((*list(process.calls)[1:], *process.draws) for process in self._fleet)
        for call in (*self._waiting, *self._sole, *itertools.chain.from_iterable(held)):
            if not call.withdrawn:
                yield call.stage
