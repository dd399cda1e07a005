"""Commits the settled prefix of every held partition, and nothing beyond it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from worker.metrics import Metrics

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from worker.kafka.assignment import Assignment

__all__ = ["Committer"]

log = structlog.get_logger(__name__)


class Committer:
    """Commits on a timer, and on demand before partitions are given up."""

    def __init__(
        self, consumer: AIOKafkaConsumer, assignment: Assignment, interval: float, metrics: Metrics
    ) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._interval = interval
        self._metrics = metrics
        # One commit at a time: a slow older one must not land after a newer one.
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Commit every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self._note_starts()
            await self.commit()

    async def commit(self, timeout: float | None = None) -> bool:
        """Commit what has settled since the last time; whether nothing is left to commit.

        A failure is no loss: the jobs are delivered again, here or to the next owner.

        Args:
            timeout: seconds; by default the interval or 5 s, so that an unreachable broker holds
                nothing up for longer.
        """
        async with self._lock:
            due = {
                holding: holding.ledger.position
                for holding in self._assignment
                if holding.ledger.position is not None
                and holding.ledger.position != holding.committed
            }
            if not due:
                return True
            offsets = {
                holding.partition: OffsetAndMetadata(position, "")
                for holding, position in due.items()
            }
            try:
                async with asyncio.timeout(timeout or max(self._interval, 5.0)):
                    await self._consumer.commit(offsets)
            except (KafkaError, TimeoutError) as error:
                self._metrics.commits.labels("failure").inc()
                log.warning(
                    "commit_failed", error=f"{type(error).__name__}: {error}", partitions=len(due)
                )
                return False
            for holding, position in due.items():
                holding.committed = position
            self._metrics.commits.labels("success").inc()
            return True

    async def _note_starts(self) -> None:
        """Learn where reading began, so that lag is known before the first job settles."""
        for holding in list(self._assignment):
            if holding.start is not None:
                continue
            try:
                async with asyncio.timeout(self._interval):
                    position = await self._consumer.position(holding.partition)
            except (KafkaError, TimeoutError):
                # Revoked meanwhile, or the broker is slow: the next round asks again.
                return
            first = holding.ledger.first
            holding.start = position if first is None else min(position, first)
