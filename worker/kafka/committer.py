"""Commits the settled prefix of every held partition, and nothing beyond it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from worker.metrics import Metrics

if TYPE_CHECKING:
    from worker.kafka.assignment import Assignment
    from worker.kafka.consumer import Consumer

__all__ = ["Committer"]

PATIENCE = 5.0
"""Seconds for brokers to answer a commit, as a rule."""

SILENCE = 15.0
"""Seconds after which a connection that brings no answer to a commit is closed: half the default
session time-out, so that heartbeats on a new one can still save the membership."""

log = structlog.get_logger(__name__)


class Committer:
    """Commits on a timer, and on demand before partitions are given up.

    Args:
        interval: seconds between commits.
        patience: seconds after which a commit on demand is given up, and one of the timer counts as
            failing.
        silence: seconds without an answer to the timer's commit after which it is sent anew, on a
            new connection.
    """

    def __init__(
        self,
        consumer: Consumer,
        assignment: Assignment,
        interval: float,
        metrics: Metrics,
        patience: float = PATIENCE,
        silence: float = SILENCE,
    ) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._interval = interval
        self._metrics = metrics
        self._patience = max(interval, patience)
        self._silence = max(interval, silence)
        # One commit at a time: a slow older one must not land after a newer one.
        self._lock = asyncio.Lock()
        self._attempt: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """Commit every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self._note_starts()
            await self._commit_patiently()

    async def commit(self, timeout: float | None = None) -> bool:
        """Commit what has settled since the last time; whether nothing is left to commit.

        A failure is no loss: the jobs are delivered again, here or to the next owner.

        Args:
            timeout: seconds; by default the interval or 5 s, so that an unreachable broker holds
                nothing up for longer.
        """
        # The timer's may have to wait for long yet, and has older positions.
        await self._end_attempt()
        seconds = timeout or self._patience
        try:
            async with asyncio.timeout(seconds):
                return await self._commit()
        except TimeoutError:
            self._count_slow(seconds)
            return False

    async def _commit_patiently(self) -> None:
        """One attempt for as long as it takes.

        If it were cancelled and made again, the search for the group's coordinator would begin
        again too; and since a request that was sent cannot be recalled, the new one would queue up
        behind it. Brokers that take longer than an attempt may last would never see one succeed.
        Only a connection that seems dead is given up.
        """
        attempt = self._attempt = asyncio.create_task(self._commit(), name="commit")
        waited = 0.0
        try:
            while True:
                await asyncio.wait([attempt], timeout=self._patience)
                if attempt.done():
                    break
                self._count_slow(self._patience)
                waited += self._patience
                if waited >= self._silence:
                    waited = 0.0
                    log.warning("coordinator_silent", seconds=self._silence)
                    self._consumer.drop_coordinator()
        finally:
            await self._end_attempt()
        if not attempt.cancelled():
            attempt.result()

    async def _end_attempt(self) -> None:
        if (attempt := self._attempt) is not None:
            self._attempt = None
            attempt.cancel()
            await asyncio.wait([attempt])

    async def _commit(self) -> bool:
        async with self._lock:
            due = {
                state: state.ledger.position
                for state in self._assignment
                if state.ledger.position is not None and state.ledger.position != state.committed
            }
            if not due:
                return True
            offsets = {
                state.partition: OffsetAndMetadata(position, "") for state, position in due.items()
            }
            try:
                await self._consumer.commit(offsets)
            except KafkaError as error:
                self._metrics.commits.labels("failure").inc()
                log.warning(
                    "commit_failed", error=f"{type(error).__name__}: {error}", partitions=len(due)
                )
                return False
            for state, position in due.items():
                state.committed = position
            self._metrics.commits.labels("success").inc()
            return True

    def _count_slow(self, seconds: float) -> None:
        self._metrics.commits.labels("failure").inc()
        log.warning("commit_failed", error=f"no answer within {seconds:g} s")

    async def _note_starts(self) -> None:
        """Learn where reading began, so that lag is known before the first job settles."""
        for state in list(self._assignment):
            if state.start is not None:
                continue
            try:
                async with asyncio.timeout(self._interval):
                    position = await self._consumer.position(state.partition)
            except (KafkaError, TimeoutError):
                # Revoked meanwhile, or the broker is slow: the next round asks again.
                return
            first = state.ledger.first
            state.start = position if first is None else min(position, first)
