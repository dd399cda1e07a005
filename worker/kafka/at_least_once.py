"""Delivery at least once: messages are sent when their job ends; a timer commits what settled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from worker.kafka.committer import Committer
from worker.kafka.parcel import Parcel, Refusals
from worker.kafka.publisher import Publisher
from worker.metrics import Metrics

if TYPE_CHECKING:
    from worker.kafka.assignment import Assignment, PartitionState
    from worker.kafka.consumer import Consumer

__all__ = ["AtLeastOnce"]


class AtLeastOnce:
    """Sends each parcel by itself, in whatever order jobs end.

    Args:
        commit_interval: seconds between commits.
    """

    def __init__(
        self, publisher: Publisher, refusals: Refusals, commit_interval: float, metrics: Metrics
    ) -> None:
        self._publisher = publisher
        self._refusals = refusals
        self._commit_interval = commit_interval
        self._metrics = metrics
        self._committer: Committer | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a broker."""
        return self._publisher.connected

    async def connect(self) -> None:
        """Connect the producer.

        Raises:
            KafkaError: the brokers cannot be reached or refuse the client.
        """
        await self._publisher.start()

    def attach(self, consumer: Consumer, assignment: Assignment) -> None:
        """Take note of whose offsets are committed."""
        self._committer = Committer(consumer, assignment, self._commit_interval, self._metrics)

    async def run(self) -> None:
        """Commit on a timer until cancelled."""
        assert self._committer is not None
        await self._committer.run()

    def begin(self, states: Iterable[PartitionState]) -> None:
        """Nothing needs to begin: partitions are polled at once."""

    async def deliver(self, parcel: Parcel) -> None:
        """Send a parcel until each message is acknowledged or refused for good."""
        while refused := await self._publisher.publish(parcel.messages):
            parcel.messages = []
            self._refusals.settle(parcel, refused)

    def hurry(self) -> None:
        """Nothing waits for longer than `publish.linger`, which is little."""

    async def commit(self, timeout: float | None = None) -> bool:
        """Commit what has settled.

        Returns:
            Whether nothing is left to commit.
        """
        assert self._committer is not None
        return await self._committer.commit(timeout)

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
        await self._publisher.stop(timeout)
