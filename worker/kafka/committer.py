"""Commits the settled prefix of every assigned partition, and nothing beyond it."""

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
"""Seconds in which brokers usually answer a commit."""

SILENCE = 15.0
"""Seconds without an answer to a commit after which the connection is closed. Half the default
session time-out, so that heartbeats on a new connection still keep the membership."""

log = structlog.get_logger(__name__)


class Committer:
    """Commits on a timer, and on demand before partitions are released.

    Args:
        interval: seconds between commits.
        patience: seconds after which a commit on demand is given up, and a commit of the timer
            counts as failed.
        silence: seconds without an answer after which a commit of the timer is sent again, on a new
            connection.
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
        """Commit what has settled since the last commit.

        If it fails, nothing is lost: the jobs are delivered again, here or to the next owner.

        Args:
            timeout: seconds; by default the interval or 5 s, whichever is longer.

        Returns:
            Whether nothing is left to commit.
        """
        # The timer's commit may take long, and has older positions.
        await self._end_attempt()
        seconds = timeout or self._patience
        try:
            async with asyncio.timeout(seconds):
                return await self._commit()
        except TimeoutError:
            self._count_slow(seconds)
            return False

    async def _commit_patiently(self) -> None:
        """Make one attempt and wait for as long as it takes.

        An attempt that is cancelled and made again has to find the group's coordinator again, and
        queues up behind the first request, which cannot be recalled. If brokers always took longer
        than an attempt may take, no commit would ever succeed. So only a connection that seems dead
        is given up.
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
            self._metrics.last_commit.set_to_current_time()
            return True

    def _count_slow(self, seconds: float) -> None:
        self._metrics.commits.labels("failure").inc()
        log.warning("commit_failed", error=f"no answer within {seconds:g} s")

    async def _note_starts(self) -> None:
        """Find out where reading began, so that lag is known before the first job settles."""
        for state in list(self._assignment):
            if state.start is not None:
                continue
            try:
                async with asyncio.timeout(self._interval):
                    position = await self._consumer.position(state.partition)
            except (KafkaError, TimeoutError):
                # Revoked meanwhile, or the broker is slow. The next round asks again.
                return
            first = state.ledger.first
            state.start = position if first is None else min(position, first)
