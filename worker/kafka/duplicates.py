"""Jobs that producers send again under the same `jobId`: they are done once.

What is remembered is this worker's own, and is forgotten when the worker ends. Jobs of one key are
in one partition, so one worker sees all of them until partitions move. docs/retry.md says what that
promises.
"""

from __future__ import annotations

import asyncio
import enum
from collections import OrderedDict
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from worker.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from worker.contract.records import Record
    from worker.settings import DuplicateSettings

__all__ = ["Claim", "Decision", "Duplicates", "RecentJobs", "make_duplicates"]


class Decision(enum.Enum):
    """What to do with a record."""

    RUN = enum.auto()
    RUN_BESIDE = enum.auto()
    WAIT = enum.auto()
    DROP = enum.auto()


class Claim(NamedTuple):
    """A record that asks for its job.

    Attributes:
        name: digest of the id of the job's first record.
        partition: the topic and partition that the record was read from.
        offset: its offset there.
    """

    name: bytes
    partition: tuple[str, int]
    offset: int


class RecentJobs:
    """Which jobs are under way, and which were answered lately: pure bookkeeping.

    Jobs and records are named by digests, so that long ids take no more memory than short ones.

    Args:
        window: seconds for which an answered job is remembered.
        max_jobs: most answered jobs that are remembered; the oldest is forgotten first.
    """

    def __init__(self, window: float, max_jobs: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._window = window
        self._max_jobs = max_jobs
        self._clock = clock
        self._running: dict[bytes, Claim] = {}
        # Invariant: in the order of answering, since all are remembered for equally long.
        self._answered: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many jobs are remembered as answered."""
        return len(self._answered)

    def claim(self, job: bytes, claim: Claim) -> Decision:
        """Decide what to do with a record.

        Returns:
            RUN: nobody runs the job, and it was not answered lately. Or the same record was
            delivered again: then nothing that depends on its first delivery was committed.
            WAIT: an earlier record of the same partition runs the job.
            RUN_BESIDE: another record runs it, for which this one must not wait. Where messages are
            published in order, that one may itself have to wait for this one.
            DROP: another record of this job was answered.
        """
        self._forget_old()
        running = self._running.get(job)
        if running is not None and running.name != claim.name:
            earlier = running.partition == claim.partition and running.offset < claim.offset
            return Decision.WAIT if earlier else Decision.RUN_BESIDE
        answered = self._answered.get(job)
        if answered is not None and answered[0] != claim.name:
            return Decision.DROP
        self._answered.pop(job, None)
        self._running[job] = claim
        return Decision.RUN

    def finish(self, job: bytes, name: bytes, *, answered: bool) -> bool:
        """Take note that a record's run is over.

        Args:
            name: of its claim.
            answered: whether the job was answered with success. A failure is not remembered: to
                send the job again is right then.

        Returns:
            Whether this record was the one that others wait for.
        """
        running = self._running.get(job)
        if running is None or running.name != name:
            return False
        del self._running[job]
        if answered:
            self._answered[job] = name, self._clock.monotonic() + self._window
            if len(self._answered) > self._max_jobs:
                self._answered.popitem(last=False)
        return True

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._answered:
            job, (_, until) = next(iter(self._answered.items()))
            if until > now:
                break
            del self._answered[job]


class Duplicates:
    """Finds records of jobs that are answered already; for one event loop.

    Args:
        window: seconds for which an answered job is remembered.
        max_jobs: most answered jobs that are remembered.
        clock: measures the window.
    """

    def __init__(self, window: float, max_jobs: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._recent = RecentJobs(window, max_jobs, clock)
        self._jobs: dict[bytes, bytes] = {}
        self._over: dict[bytes, asyncio.Event] = {}

    async def claim(self, record: Record, first: Record, job_id: str) -> bool:
        """Decide whether a record's job is to be done, once no earlier record of it is under way.

        Call it in the record's own task: if that fails or is cancelled, the job is free again.

        Args:
            record: as it was read.
            first: the one with which the job began.

        Returns:
            Whether to do it. Call `finish` in any case.
        """
        job = _digest(first.topic, job_id)
        claim = Claim(_digest(first.id), (record.topic, record.partition), record.offset)
        while (decision := self._recent.claim(job, claim)) is Decision.WAIT:
            await self._over.setdefault(job, asyncio.Event()).wait()
        if decision is Decision.RUN:
            self._jobs[claim.name] = job
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(partial(self._task_ended, claim.name))
        return decision is not Decision.DROP

    def finish(self, first: Record, *, answered: bool) -> None:
        """Take note that a record's messages are delivered.

        Args:
            first: the record with which the job began.
            answered: whether the job was answered with success.
        """
        if self._jobs:
            self._finish(_digest(first.id), answered=answered)

    def _finish(self, name: bytes, *, answered: bool) -> None:
        job = self._jobs.pop(name, None)
        if job is not None and self._recent.finish(job, name, answered=answered):
            over = self._over.pop(job, None)
            if over is not None:
                over.set()

    def _task_ended(self, name: bytes, task: asyncio.Task[object]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._finish(name, answered=False)


def make_duplicates(settings: DuplicateSettings) -> Duplicates | None:
    """Make what finds duplicates, if it is wanted.

    Returns:
        None without a window.
    """
    return None if settings.window is None else Duplicates(settings.window, settings.max_jobs)


def _digest(*texts: str) -> bytes:
    # The names of topics have no zero byte, so that two pairs never make the same text.
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
