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
from collections.abc import Iterator

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import Stage
from worker.imaging.blame import errors_of_calls
from worker.imaging.call import Call, DiedError, LostError
from worker.imaging.crops import CropCells
from worker.imaging.exchange import Exchange
from worker.imaging.fleet import Fleet
from worker.imaging.nursery import Nursery
from worker.imaging.process import ImageProcess, Role
from worker.imaging.protocol import LANES, Setup
from worker.imaging.slow_calls import SlowCalls
from worker.imaging.sole import SoleCalls
from worker.imaging.usage import Usage
from worker.imaging.waiting import WaitingCalls
from worker.logs import get_logger
from worker.metrics import Metrics

__all__ = ["ProcessPool"]

MOST_ALONE = 4
"""Processes that may have a call alone, for each regular one."""

PICTURES_SHARE = 4
"""A process whose pictures take more than this part of its memory gets no more for now."""

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
        self._metrics = metrics
        self._numbers = itertools.count(1)
        self._waiting = WaitingCalls(cells)
        self._sole = SoleCalls()
        self._fleet = Fleet(count, setup, cells, nursery or Nursery(), clock)
        # Calls that take long must not keep others from being begun.
        cells.aside = self._fleet.cells_aside
        self._usage = Usage(metrics, clock, self._fleet, self._queued)
        self._slow = SlowCalls(count, timeout, self._fleet, self._waiting, self.number, clock)
        self._exchange = Exchange(
            setup.max_pixels, self._fleet, self._waiting, self._slow, self._usage, clock
        )
        self._fleet.on_reply = self._exchange.hear
        self._fleet.on_end = self._settle_calls
        self._fleet.on_change = self._slow.on_change = self._exchange.on_room = self._dispatch
        self._exchange.on_unbegun = self._add_again
        self._stopped = False
        self.show = self._usage.show
        self.drop = self._exchange.drop
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
        self._slow.stop()
        self._exchange.stop()
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
                    self._exchange.give(process, call)
        most = MOST_ALONE * self._count
        while (
            self._waiting.has_alone
            and self._fleet.in_role(Role.ALONE) < most
            and self._waiting.next_alone() is not None
        ):
            if (own := self._fleet.fork(Role.ALONE)) is None:
                break
            self._exchange.give(own, self._waiting.take_alone())
        # This is asked several times for each image, and mostly no call waits, or for a cell.
        while self._waiting.has_next and (free := self._least_busy()) is not None:
            if (next_call := self._waiting.next()) is None:
                break
            self._exchange.give(free, next_call)

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
            self._exchange.give(process, call)
        return self._sole.hold_others

    @property
    def _quiet(self) -> bool:
        """Whether no process has any call."""
        return all(len(process.lanes) == LANES for process in self._fleet)

    def _least_busy(self, most: float | None = None) -> ImageProcess | None:
        """The regular process with most free lanes, if it holds at most so many bytes of pictures.

        Of several the one with the fewest pictures: it may encode them while it has no call.

        Args:
            most: `PICTURES_SHARE` of its memory unless given.
        """
        most = self._setup.memory // PICTURES_SHARE if most is None else most
        best, least = None, (0, 0)
        for process in self._fleet:
            # Mostly there is none, and this is asked several times for each image.
            if not process.lanes or process.role is not Role.REGULAR:
                continue
            load = -len(process.lanes), len(process.pictures)
            if load < least and process.picture_bytes <= most:
                best, least = process, load
        return best

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

    # Processes that end.

    def _settle_calls(self, process: ImageProcess, died: DiedError | None, cpu: float) -> None:
        """Blame the call that ran, and have the others done elsewhere."""
        self._usage.add_ended(process, cpu)
        if process.calls:
            self._exchange.note_busy(process)
        if died is not None and died.cause != "surplus":
            self._metrics.image_process_restarts.labels(died.cause).inc()
            if died.cause != "parent":
                log.warning(
                    "image_process_died",
                    pid=process.pid,
                    cause=died.cause,
                    how=died.how,
                    in_call=bool(process.ended_in),
                )
        for call, error in errors_of_calls(process, died):
            if error is None:
                self._add_again(call)
            else:
                self._waiting.free_cell(call)
                call.settle(error=error)
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
