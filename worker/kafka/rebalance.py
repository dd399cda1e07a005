"""What happens when the group moves partitions: stop, drain, commit, let go; then begin anew."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import structlog
from aiokafka import ConsumerRebalanceListener

from worker.metrics import Metrics

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from worker.kafka.assignment import Assignment
    from worker.kafka.committer import Committer

__all__ = ["RebalanceListener"]

log = structlog.get_logger(__name__)


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Gives up partitions without losing a job and without committing beyond an unsettled one.

    aiokafka awaits these calls while its heartbeats go on, and swallows what they raise.

    Args:
        drain_timeout: seconds for running jobs to end, well inside the group's rebalance time-out.
        on_change: told whether partitions are assigned (the set may be empty) or being given up.
    """

    def __init__(
        self,
        assignment: Assignment,
        committer: Committer,
        drain_timeout: float,
        metrics: Metrics,
        on_change: Callable[[bool], None],
    ) -> None:
        self._assignment = assignment
        self._committer = committer
        self._drain_timeout = drain_timeout
        self._metrics = metrics
        self._on_change = on_change

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Drain, commit, and abandon what is left: its next owner starts with it."""
        self._on_change(False)
        self._metrics.assigned.set(0)
        abandoned = await give_up(self._assignment, self._committer, self._drain_timeout)
        log.info("partitions_revoked", partitions=len(revoked), abandoned_jobs=abandoned)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin with empty ledgers at the committed offsets."""
        self._assignment.assign(assigned)
        self._metrics.rebalances.inc()
        self._metrics.assigned.set(len(assigned))
        self._on_change(True)
        log.info(
            "partitions_assigned", partitions=sorted(partition.partition for partition in assigned)
        )


async def give_up(
    assignment: Assignment,
    committer: Committer,
    drain_timeout: float,
    commit_timeout: float | None = None,
) -> int:
    """Drain what runs, commit what settled, abandon the rest; how many jobs were abandoned.

    Also how a shutdown ends, for which aiokafka calls no listener.
    """
    assignment.accepting = False
    try:
        await assignment.drain(drain_timeout)
        await committer.commit(commit_timeout)
    finally:
        # Whatever else fails, what settles from now on belongs to the next owner.
        abandoned = await assignment.abandon()
    return abandoned
