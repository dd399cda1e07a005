"""What happens in a rebalance: drain, commit and release partitions, then start the new ones."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal

import structlog
from aiokafka import ConsumerRebalanceListener

from worker.clock import SYSTEM_CLOCK, Clock
from worker.metrics import Metrics

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from worker.kafka.assignment import Assignment
    from worker.kafka.delivery import Delivery

__all__ = ["RebalanceListener", "release_partitions"]

log = structlog.get_logger(__name__)


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Releases partitions without losing a job and without committing beyond an unsettled one.

    aiokafka awaits these calls while its heartbeats go on, and ignores what they raise.

    Args:
        drain_timeout: seconds for running jobs to end, well below the group's rebalance time-out.
        on_change: called with True when partitions are assigned (the set may be empty), and with
            False when they are revoked.
    """

    def __init__(
        self,
        assignment: Assignment,
        delivery: Delivery,
        drain_timeout: float,
        metrics: Metrics,
        on_change: Callable[[bool], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._assignment = assignment
        self._delivery = delivery
        self._drain_timeout = drain_timeout
        self._metrics = metrics
        self._on_change = on_change
        self._clock = clock
        self._began: float | None = None

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Drain and commit, and abandon the remaining jobs: the next owner begins with them."""
        if self._began is None:
            # Otherwise it has been told of already, and joining has failed since.
            self._began = self._clock.monotonic()
        self._on_change(False)
        self._metrics.assigned.set(0)
        self._metrics.paused.set(0)
        abandoned = await release_partitions(
            self._assignment, self._delivery, self._drain_timeout, self._metrics, "rebalance"
        )
        log.info("partitions_revoked", partitions=len(revoked), abandoned_jobs=abandoned)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start at the committed offsets, with empty ledgers."""
        self._assignment.assign(assigned)
        self._delivery.begin(list(self._assignment))
        if self._began is not None:
            self._metrics.rebalance_duration.observe(self._clock.monotonic() - self._began)
            self._began = None
        self._metrics.rebalances.inc()
        self._metrics.assigned.set(len(assigned))
        self._on_change(True)
        log.info(
            "partitions_assigned", partitions=sorted(partition.partition for partition in assigned)
        )


async def release_partitions(
    assignment: Assignment,
    delivery: Delivery,
    drain_timeout: float,
    metrics: Metrics,
    cause: Literal["rebalance", "shutdown"],
    commit_timeout: float | None = None,
) -> int:
    """Drain running jobs, commit what has settled, and abandon the rest.

    A shutdown calls this as well, since aiokafka calls no listener then.

    Args:
        drain_timeout: seconds for running jobs to end; with 0 they get no chance to.
        cause: why, for metrics.
        commit_timeout: seconds for the commit; None for the delivery's own limit.

    Returns:
        How many jobs were abandoned.
    """
    assignment.accepting = False
    delivery.hurry()
    try:
        with metrics.drain_duration.labels(cause).time():
            running = await assignment.drain(drain_timeout)
        if running and drain_timeout:
            metrics.drain_overruns.labels(cause).inc()
        await delivery.commit(commit_timeout)
    finally:
        # Even if something fails: what settles from now on belongs to the next owner.
        abandoned = await assignment.abandon()
    return abandoned
