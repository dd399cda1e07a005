"""The image processes that there are: made, counted by role, killed, and had again when lost."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

from worker.clock import Clock
from worker.errors import UnfitSystemError
from worker.imaging.call import Call, DiedError
from worker.imaging.crops import CropCells
from worker.imaging.nursery import Nursery
from worker.imaging.process import ImageProcess, Role
from worker.imaging.protocol import Reply, Setup, Up
from worker.logs import get_logger
from worker.retry import Retry

__all__ = ["Fleet"]

RESTARTS = Retry(first=0.5, longest=30.0)
"""When processes that cannot be had are tried again."""

NURSERY_TIMEOUT = 20.0
"""Seconds in which the process that forks does what it is asked to, before it is given up."""

PATIENCE = 2 * RESTARTS.longest
"""Seconds without any process after which the fleet counts as stalled."""

log = get_logger(__name__)


class Fleet:
    """Image processes; for one event loop.

    Args:
        count: processes that take calls.
        setup: what they have in common.
        cells: where crops go.
        nursery: forks them; it may have been started before.

    Attributes:
        on_reply: called with a process, its first call and what became of it.
        on_end: called with a process that is gone, how it ended (None: it was never there) and the
            seconds of processor time that it took.
        on_change: called when there may be another process to give calls to.
    """

    def __init__(
        self, count: int, setup: Setup, cells: CropCells, nursery: Nursery, clock: Clock
    ) -> None:
        self.on_reply: Callable[[ImageProcess, Call, Reply], None] = lambda *_: None
        self.on_end: Callable[[ImageProcess, DiedError | None, float], None] = lambda *_: None
        self.on_change: Callable[[], None] = lambda: None
        self._count = count
        self._cells = cells
        self._clock = clock
        self._setup = setup
        self._nursery = nursery
        nursery.on_started, nursery.on_ended = self._started, self._ended
        nursery.on_lost = self._lost
        self._numbers = itertools.count(1)
        # Invariant: every process that has been asked for and whose end is not known yet.
        self._processes: dict[int, ImageProcess] = {}
        self._reviving: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._pauses = RESTARTS.pauses(clock)
        self._stopped = False
        # Invariant: True if any process has a call that takes long, or is alone.
        self._some_slow = False

    def __iter__(self) -> Iterator[ImageProcess]:
        """All that are not known to be gone."""
        return iter([process for process in self._processes.values() if not process.closed])

    def calls(self) -> Iterator[Call]:
        """The calls of all processes, whether they are known to be gone or not."""
        for process in self._processes.values():
            yield from (*process.calls, *process.draws)

    @property
    def stalled(self) -> bool:
        """Whether no image process could be had for a while."""
        since = self._down_since
        if since is None or any(one.proved and one.role is Role.REGULAR for one in self):
            return False
        return self._clock.monotonic() - since > PATIENCE

    @property
    def has_spare(self) -> bool:
        """Whether there are at least twice as many processes as images on their way to scores."""
        return 2 * self._cells.in_use <= self._count

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
        if self._nursery.pid is None:
            await self._nursery.start()
        self._nursery.set_up(self._setup)
        self.fill()

    def stop(self) -> None:
        """End all processes, at once."""
        self._stopped = True
        if self._reviving is not None:
            self._reviving.cancel()
        for process in self:
            process.close()
        self._processes.clear()
        self._nursery.stop()

    def in_role(self, role: Role) -> int:
        """Count the processes of a role."""
        return sum(process.role is role for process in self)

    def fill(self) -> None:
        """Have as many regular processes as there should be."""
        # One that gives way to all others would do so forever.
        while sum(one.role is Role.REGULAR and not one.calm for one in self) < self._count:
            surplus = (process for process in self if process.role is Role.SURPLUS)
            spare = next((process for process in surplus if not process.calm), None)
            if spare is not None:
                spare.role = Role.REGULAR
            elif self.fork(Role.REGULAR) is None:
                break
        self._relieve()

    def _relieve(self) -> None:
        """Take their place from processes that give way to all others, once there are better."""
        regular = [one for one in self if one.role is Role.REGULAR]
        calm = [one for one in regular if one.calm]
        up = sum(one.proved and not one.calm for one in regular)
        for process in calm[: max(0, len(calm) + up - self._count)]:
            process.role = Role.SURPLUS
            self.settle(process)

    def fork(self, role: Role) -> ImageProcess | None:
        """Make a process.

        Returns:
            It; None if none can be had now, but later.
        """
        if self._stopped or self._reviving is not None:
            return None
        number = next(self._numbers)
        try:
            process = ImageProcess(
                number,
                role,
                now := self._clock.monotonic(),
                self._nursery,
                self._cells.descriptor,
                self._reply,
                self._closed,
            )
        except OSError as error:
            self._note_down(str(error))
            return None
        self._processes[number] = process
        process.asked_at = now
        self._some_slow = self._some_slow or role is not Role.REGULAR
        return process

    def kill(self, process: ImageProcess, cause: str) -> None:
        """End a process, which has the blame for `cause`."""
        process.cause = process.cause or cause
        self._kill(process)

    def check(self) -> bool:
        """Give up the process that forks if it does not do what it was asked to.

        Returns:
            Whether it has something to do.
        """
        asked = [one.asked_at for one in self._processes.values() if one.asked_at is not None]
        if asked and self._clock.monotonic() - min(asked) > NURSERY_TIMEOUT:
            log.error("image_processes_hang", timeout_in_seconds=NURSERY_TIMEOUT)
            self._nursery.lose()
            return False
        return bool(asked)

    def cells_aside(self) -> int:
        """Count the cells of calls that have, or may take, a process of their own for long."""
        # Asked for each image under load, and mostly there are none.
        if not self._some_slow:
            return 0
        slow = [one for one in self._processes.values() if one.role in (Role.ASIDE, Role.ALONE)]
        self._some_slow = bool(slow)
        return sum(call.cell is not None for one in slow for call in one.calls)

    def settle(self, process: ImageProcess) -> None:
        """Give a process that has come back from a long or dangerous call a place, or end it."""
        if process.closed or process.calls:
            return
        if process.role in (Role.ASIDE, Role.ALONE) and not process.draws:
            # Even one that gives way to all others has it, until another can be had.
            vacant = self.in_role(Role.REGULAR) < self._count
            process.role = Role.REGULAR if vacant else Role.SURPLUS
        if process.role is Role.SURPLUS and process.idle and not process.pictures:
            process.close()
            self.kill(process, "surplus")

    def put_aside(self, process: ImageProcess) -> None:
        """Have another process take a process's place, and that one give way to all others."""
        log.info("image_process_aside", pid=process.pid, stage=process.calls[0].stage)
        if not process.calm:
            self._nursery.calm(process.number)
        process.role, process.calm = Role.ASIDE, True
        self._some_slow = True
        self.fill()

    def _reply(self, process: ImageProcess, call: Call | None, reply: Reply) -> None:
        if call is not None:
            self.on_reply(process, call, reply)
        elif isinstance(reply, Up):
            self._down_since, self._pauses = None, RESTARTS.pauses(self._clock)
            self._relieve()

    def _started(self, number: int, pid: int) -> None:
        if (process := self._processes.get(number)) is not None:
            process.pid = pid
            if not process.closed and not process.cause:
                process.asked_at = None

    def _kill(self, process: ImageProcess) -> None:
        if process.asked_at is None:
            process.asked_at = self._clock.monotonic()
        self._nursery.kill(process.number)

    def _closed(self, process: ImageProcess) -> None:
        """A process's socket is closed; how it ended will be told."""
        process.close()
        # If it lives on without its socket.
        self._kill(process)
        self.fill()
        self.on_change()

    def _ended(self, number: int, status: int | None, cpu: float) -> None:
        process = self._processes.get(number)
        if process is None:
            return
        process.drain()
        process.close()
        del self._processes[number]
        if status is None:
            self._note_down("the system has no room for another process")
        elif not process.proved and not process.ended_in and not process.cause:
            # Not at once again, which would go on without end.
            self._note_down(f"a new image process ended by itself ({status})")
        self.on_end(process, None if status is None else _how(process.cause, status), cpu)
        self.fill()
        self.on_change()

    def _lost(self) -> None:
        """The process that forks is gone, with all that it forked."""
        log.error("image_processes_lost")
        lost = list(self._processes.values())
        self._processes.clear()
        for process in lost:
            process.close()
            self.on_end(process, DiedError("parent"), 0.0)
        self._note_down("the process that forks image processes died")

    def _note_down(self, why: str) -> None:
        if self._down_since is None:
            self._down_since = self._clock.monotonic()
        if self._reviving is None and not self._stopped:
            self._reviving = asyncio.create_task(self._revive(why), name="image-processes")

    async def _revive(self, why: str) -> None:
        """Have processes again, however many attempts that takes."""
        lost = self._nursery.pid is None
        while True:
            if lost:
                try:
                    await self._nursery.start()
                    self._nursery.set_up(self._setup)
                    break
                except (OSError, UnfitSystemError) as error:
                    why = str(error)
            pause = next(self._pauses)
            log.error("image_processes_down", error=why, retry_in_seconds=pause)
            await self._clock.sleep(pause)
            if not lost:
                break
        self._reviving = None
        self.fill()
        self.on_change()


def _how(cause: str, status: int) -> DiedError:
    """Tell how a process ended from why it was killed, and from its exit status."""
    if cause in ("timeout", "surplus"):
        return DiedError(cause)
    if status == -signal.SIGXCPU:
        return DiedError("cpu")
    how = f"exit status {status}"
    if status < 0:
        how = f"signal {-status}"
        with suppress(ValueError):
            how = signal.Signals(-status).name
    return DiedError("killed" if status == -signal.SIGKILL and not cause else "crash", how)
