"""The image processes: which call goes to which, and who takes the place of one that is gone.

One call runs in a process and one waits behind it, so that the process is never idle; all others
wait here, where they cost nothing. The most urgent goes first, once there is a cell for its crop.

A process that ends in a call is replaced at once. Calls that it had not begun go elsewhere, and
nobody is to blame for them. A call that lasts long costs its process its place (`Role.ASIDE`), so
that others need not wait until it is done or given up.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import JobError, Stage, UnfitSystemError
from worker.imaging.call import Call, DiedError, LostError
from worker.imaging.crops import CropCells
from worker.imaging.nursery import Nursery
from worker.imaging.process import LARGE, ImageProcess, Role
from worker.imaging.protocol import (
    Accounted,
    Drawn,
    LimitReached,
    NonsenseError,
    Prepared,
    Raised,
    Refused,
    Reply,
    Setup,
    Shortage,
    Skipped,
)
from worker.imaging.usage import Usage
from worker.logs import get_logger
from worker.metrics import Metrics
from worker.retry import Retry

__all__ = ["ProcessPool"]

ASIDE_AFTER = 1.0
"""Seconds after which the others wait for a call no longer."""

MOST_ASIDE = MOST_ALONE = 4
"""Processes that may be aside, or have a call alone, for each regular one."""

PICTURES_SHARE = 4
"""A process whose pictures take more than this part of its memory gets no more for now."""

TICK = 0.2
"""Seconds between two looks at how long calls last."""

RESTARTS = Retry(first=0.5, longest=30.0)
"""When processes that cannot be had are tried again."""

PATIENCE = 2 * RESTARTS.longest
"""Seconds without any process after which the pool counts as stalled."""

log = get_logger(__name__)


class ProcessPool:
    """Image processes; for one event loop.

    Args:
        count: processes that take calls.
        setup: what they have in common.
        cells: where crops go.
        timeout: seconds after which a call is given up.
    """

    def __init__(
        self,
        count: int,
        setup: Setup,
        cells: CropCells,
        timeout: float,
        metrics: Metrics,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._count = count
        self._setup = setup
        self._cells = cells
        self._timeout = timeout
        self._metrics = metrics
        self._clock = clock
        self._nursery = Nursery(setup, self._started, self._ended, self._lost)
        self._numbers = itertools.count(1)
        # Invariant: every process that has been asked for and whose end is not known yet.
        self._processes: dict[int, ImageProcess] = {}
        # Calls that no process has yet: those that must be alone, those that need no cell and
        # make up for a lost picture, and all others by urgency.
        self._alone: deque[Call] = deque()
        self._makeup: deque[Call] = deque()
        self._waiting: list[tuple[float, int, Call]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._reviving: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._stopped = False
        self._usage = Usage(metrics, clock, lambda: list(self._processes.values()), self._queued)

    @property
    def stalled(self) -> bool:
        """Whether no image process could be had for a while."""
        since = self._down_since
        if since is None or self._in_role(Role.REGULAR):
            return False
        return self._clock.monotonic() - since > PATIENCE

    @property
    def pids(self) -> list[int]:
        """The processes that are up, the one that forks them first."""
        mine = [self._nursery.pid, *(process.pid for process in self._processes.values())]
        return [pid for pid in mine if pid is not None]

    async def start(self) -> None:
        """Start the processes.

        Raises:
            UnfitSystemError: the system lacks a library that a codec needs.
            OSError: the system has no room for another process.
        """
        await self._nursery.start()
        self._fill()

    def stop(self) -> None:
        """End all processes, at once; who waits for a call gets no answer."""
        self._stopped = True
        for timer in (self._watch, self._reviving, *self._writing):
            if timer is not None:
                timer.cancel()
        for call in self._all_calls():
            call.answer.cancel()
        for process in self._processes.values():
            process.close()
        self._processes.clear()
        self._nursery.stop()

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
        """
        if holder is not None:
            if holder.closed or (holder.role is Role.ASIDE and holder.calls):
                raise LostError
            holder.draws.append(call)
        elif call.alone:
            self._alone.append(call)
        elif not call.needs_cell:
            self._makeup.append(call)
        else:
            heapq.heappush(self._waiting, (call.urgency, call.number, call))
        self._dispatch()
        answer = call.answer
        try:
            return await answer
        except asyncio.CancelledError:
            self._withdraw(call, holder)
            raise
        finally:
            # The future, its exception, the traceback and this frame would be a reference cycle.
            del answer

    def drop(self, process: ImageProcess, picture: int) -> None:
        """Have a process forget a picture, if it still has it."""
        if process.pictures.pop(picture, None) is not None and not process.closed:
            process.send({"withdraw": picture})
            self._let_go(process)

    def free(self, cell: int) -> None:
        """Give a crop's cell back."""
        self._cells.give_back(cell)
        self._dispatch()

    # Which call goes where.

    def _dispatch(self) -> None:
        if self._stopped:
            return
        for process in list(self._processes.values()):
            while process.draws and process.lanes and not process.closed:
                call = process.draws.popleft()
                if not call.withdrawn:
                    self._give(process, call)
        self._dispatch_alone()
        while (free := self._least_busy()) is not None:
            next_call = self._next_call()
            if next_call is None:
                break
            self._give(free, next_call)

    def _dispatch_alone(self) -> None:
        most = MOST_ALONE * self._count
        while self._alone and self._reviving is None and self._in_role(Role.ALONE) < most:
            call = self._alone[0]
            if call.withdrawn:
                self._release_cell(self._alone.popleft())
                continue
            if call.needs_cell and call.cell is None and not self._cells.available:
                return
            if (process := self._fork(Role.ALONE)) is None:
                return
            self._give(process, self._alone.popleft())

    def _least_busy(self) -> ImageProcess | None:
        most = self._setup.memory // PICTURES_SHARE
        free = [
            process
            for process in self._processes.values()
            if process.role is Role.REGULAR
            and process.lanes
            and not process.closed
            and process.picture_bytes <= most
        ]
        return max(free, key=lambda process: len(process.lanes), default=None)

    def _next_call(self) -> Call | None:
        while self._makeup:
            call = self._makeup.popleft()
            if not call.withdrawn:
                return call
        while self._waiting and self._cells.available:
            call = heapq.heappop(self._waiting)[2]
            if not call.withdrawn:
                return call
        return None

    def _give(self, process: ImageProcess, call: Call) -> None:
        call.lane = process.lanes.pop()
        if call.needs_cell and call.cell is None:
            call.cell = self._cells.take()
        if len(call.content) > LARGE:
            # Not in the loop, which it would hold up.
            task = asyncio.create_task(self._write_and_send(process, call))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
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
        self._release_cell(call)
        call.settle(error=MemoryError())

    async def _write_and_send(self, process: ImageProcess, call: Call) -> None:
        try:
            with process.using():
                await asyncio.to_thread(process.write, call.lane, call.content)
        except OSError:
            self._refuse_unwritten(process, call)
        else:
            if process.closed:
                self._again(call)
            else:
                self._send(process, call)
        self._dispatch()

    def _send(self, process: ImageProcess, call: Call) -> None:
        if not process.calls:
            process.since = self._clock.monotonic()
        process.calls.append(call)
        process.send({**call.message, "call": call.number, "lane": call.lane, "cell": call.cell})
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(TICK, self._look)

    def _again(self, call: Call) -> None:
        """Have a call that no process has begun done by another one."""
        if call.withdrawn:
            self._release_cell(call)
        elif call.stage is Stage.DRAW:
            call.settle(error=LostError())
        elif call.alone:
            self._alone.appendleft(call)
        elif call.needs_cell and call.cell is None:
            heapq.heappush(self._waiting, (-math.inf, call.number, call))
        else:
            # With its cell, if it needs one: it waits for nothing.
            self._makeup.append(call)

    def _withdraw(self, call: Call, holder: ImageProcess | None) -> None:
        call.withdrawn, call.content = True, b""
        for process in [holder] if holder is not None else list(self._processes.values()):
            if call in process.calls and not process.closed:
                # Its cell stays taken until the process has said that it is done.
                process.send({"withdraw": call.number})
        if call in self._makeup:
            self._makeup.remove(call)
            self._release_cell(call)
        answer = call.answer
        answered = answer.done() and not answer.cancelled() and answer.exception() is None
        if answered and call.stage is Stage.DECODE:
            # In the very moment in which its caller was cancelled.
            process, done, _ = answer.result()
            self._release_cell(done)
            self.drop(process, done.number)

    def _release_cell(self, call: Call) -> None:
        if call.cell is not None:
            self._cells.give_back(call.cell)
            call.cell = None

    # What processes say.

    def _hear(self, process: ImageProcess, call: Call, reply: Reply) -> None:
        if isinstance(reply, Accounted):
            call.account(reply.nbytes)
            return
        self._check(process, call, reply)
        self._note_busy(process)
        process.calls.popleft()
        match reply:
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
        self._let_go(process)
        self._dispatch()

    def _check(self, process: ImageProcess, call: Call, reply: Reply) -> None:
        """Refuse what cannot be: a process that was taken over must not cost the worker memory."""
        match reply:
            case Prepared((height, width)):
                right = call.stage is Stage.DECODE and height * width <= self._setup.max_pixels
            case Prepared(None):
                right = call.stage is Stage.DECODE
            case Drawn(length):
                pixels = process.pictures.get(call.message.get("picture", 0), 0)
                right = call.stage is Stage.DRAW and length <= 2 * pixels + LARGE
            case _:
                right = True
        if not right:
            raise NonsenseError("a result that is none of this call")

    def _note_busy(self, process: ImageProcess) -> None:
        now = self._clock.monotonic()
        self._usage.add_busy(now - process.since)
        process.since = now

    def _succeed(self, process: ImageProcess, call: Call, result: object) -> None:
        if call.withdrawn or call.answer.done():
            self._release_cell(call)
            self.drop(process, call.number)
            return
        call.settle((process, call, result) if call.stage is Stage.DECODE else result)

    def _fail(self, call: Call, reply: Reply) -> None:
        self._release_cell(call)
        error: BaseException
        match reply:
            case Refused(reason, message, stage):
                error = JobError(reason, message, stage=stage)
            case Shortage():
                error = MemoryError()
            case LimitReached():
                error = DiedError("memory")
            case Skipped():
                return
            case Raised(name):
                error = RuntimeError(f"an image process raised {name}")
            case other:
                raise AssertionError(other)
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
                self._end(process, call)
                self._fail(call, Shortage())
                return
            self._take(process, call, data, length, shape)
            self._let_go(process)
            self._dispatch()

        task = asyncio.create_task(fetch())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

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
            self._release_cell(call)
            call.settle(error=DiedError("crash", "a result that is not there"))
        else:
            self._succeed(process, call, data if shape is None else (data, shape))

    def _end(self, process: ImageProcess, call: Call, length: int = 0) -> None:
        """Have the call's lane used again."""
        if max(length, len(call.content)) > LARGE and not process.closed:
            process.empty(call.lane)
        process.lanes.append(call.lane)

    def _let_go(self, process: ImageProcess) -> None:
        """Give a process that has come back from a long or dangerous call a place, or end it."""
        if process.closed or process.calls:
            return
        if process.role in (Role.ASIDE, Role.ALONE) and not process.draws:
            vacant = self._in_role(Role.REGULAR) < self._count
            process.role = Role.REGULAR if vacant else Role.SURPLUS
        if process.role is Role.SURPLUS and process.idle and not process.pictures:
            process.cause = "surplus"
            process.close()
            self._nursery.kill(process.number)

    # How long calls last.

    def _look(self) -> None:
        self._watch = None
        now = self._clock.monotonic()
        busy = [process for process in self._processes.values() if process.calls]
        for process in busy:
            lasts = now - process.since
            if lasts >= self._timeout:
                self._kill(process, "timeout")
            elif lasts >= ASIDE_AFTER and process.role is Role.REGULAR:
                self._put_aside(process)
        if busy and not self._stopped:
            self._watch = asyncio.get_running_loop().call_later(TICK, self._look)

    def _put_aside(self, process: ImageProcess) -> None:
        if self._in_role(Role.ASIDE) >= MOST_ASIDE * self._count:
            return
        log.info("image_process_aside", pid=process.pid, stage=process.calls[0].stage)
        process.role = Role.ASIDE
        self._nursery.calm(process.number)
        for call in list(process.calls)[1:]:
            process.send({"withdraw": call.number})
            # What has its number stays with this process, and keeps its cell until that is done.
            elsewhere = replace(call, number=self.number(), lane=-1, cell=None)
            call.withdrawn = True
            self._again(elsewhere)
        for call in process.draws:
            self._again(call)
        process.draws.clear()
        self._fill()
        self._dispatch()

    # Processes that come and go.

    def _fill(self) -> None:
        if self._stopped or self._reviving is not None:
            return
        while self._in_role(Role.REGULAR) < self._count:
            surplus = (
                process for process in self._processes.values() if _is(process, Role.SURPLUS)
            )
            if (spare := next(surplus, None)) is not None:
                spare.role = Role.REGULAR
            elif self._fork(Role.REGULAR) is None:
                return

    def _in_role(self, role: Role) -> int:
        return sum(_is(process, role) for process in self._processes.values())

    def _fork(self, role: Role) -> ImageProcess | None:
        number = next(self._numbers)
        try:
            process = ImageProcess(
                number, role, self._nursery, self._cells.descriptor, self._hear, self._closed
            )
        except OSError as error:
            self._note_down(str(error))
            return None
        self._processes[number] = process
        return process

    def _kill(self, process: ImageProcess, cause: str) -> None:
        process.cause = process.cause or cause
        self._nursery.kill(process.number)

    def _started(self, number: int, pid: int) -> None:
        self._down_since = None
        if (process := self._processes.get(number)) is not None:
            process.pid = pid

    def _closed(self, process: ImageProcess) -> None:
        """A process's socket is closed; how it ended will be told."""
        process.close()
        # If it lives on without its socket.
        self._nursery.kill(process.number)
        self._fill()
        self._dispatch()

    def _ended(self, number: int, status: int | None, cpu: float) -> None:
        self._usage.add_cpu(cpu)
        process = self._processes.get(number)
        if process is None:
            return
        process.drain()
        process.close()
        del self._processes[number]
        if status is None:
            self._note_down("the system has no room for another process")
            self._settle_calls(process, None)
        else:
            self._settle_calls(process, _how(process.cause, status))
        self._fill()
        self._dispatch()

    def _settle_calls(self, process: ImageProcess, died: DiedError | None) -> None:
        """Blame the call that ran, and have the others done elsewhere."""
        if process.calls:
            self._note_busy(process)
        if died is not None and process.cause != "surplus":
            log.warning(
                "image_process_died",
                pid=process.pid,
                cause=died.cause,
                how=died.how,
                in_call=bool(process.ended_in),
            )
            self._metrics.image_process_restarts.labels(died.cause).inc()
        for call in (*process.calls, *process.draws):
            if died is not None and call.number == process.ended_in and not call.withdrawn:
                self._release_cell(call)
                call.settle(error=died)
            else:
                self._again(call)
        process.calls.clear()
        process.draws.clear()

    def _lost(self) -> None:
        """The process that forks is gone, with all that it forked; no image is to blame."""
        log.error("image_processes_lost")
        for process in list(self._processes.values()):
            process.close()
            self._settle_calls(process, None)
        self._processes.clear()
        self._note_down("the process that forks image processes died")

    def _note_down(self, why: str) -> None:
        if self._down_since is None:
            self._down_since = self._clock.monotonic()
        if self._reviving is None and not self._stopped:
            self._reviving = asyncio.create_task(self._revive(why), name="image-processes")

    async def _revive(self, why: str) -> None:
        """Have processes again, however many attempts that takes."""
        pauses = RESTARTS.pauses(self._clock)
        lost = self._nursery.pid is None
        while True:
            if lost:
                try:
                    await self._nursery.start()
                    break
                except (OSError, UnfitSystemError) as error:
                    why = str(error)
            pause = next(pauses)
            log.error("image_processes_down", error=why, retry_in_seconds=pause)
            await self._clock.sleep(pause)
            if not lost:
                break
        self._reviving = None
        self._fill()
        self._dispatch()

    def _queued(self) -> Iterator[Stage]:
        """The stage of each call that waits."""
        waiting = (call for _, _, call in self._waiting)
        draws = (call for process in self._processes.values() for call in process.draws)
        behind = (call for process in self._processes.values() for call in list(process.calls)[1:])
        for call in (*self._alone, *self._makeup, *waiting, *draws, *behind):
            if not call.withdrawn:
                yield call.stage

    def _all_calls(self) -> Iterator[Call]:
        yield from (*self._alone, *self._makeup)
        yield from (call for _, _, call in self._waiting)
        for process in self._processes.values():
            yield from (*process.calls, *process.draws)


def _is(process: ImageProcess, role: Role) -> bool:
    return process.role is role and not process.closed


def _how(cause: str, status: int) -> DiedError:
    """Tell how a process ended from why it was killed, and from its exit status."""
    if cause == "timeout":
        return DiedError(cause)
    if status == -signal.SIGXCPU:
        return DiedError("cpu")
    how = f"exit status {status}"
    if status < 0:
        how = f"signal {-status}"
        with suppress(ValueError):
            how = signal.Signals(-status).name
    return DiedError("killed" if status == -signal.SIGKILL and not cause else "crash", how)
