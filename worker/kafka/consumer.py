"""aiokafka's consumer with a bounded fetcher, and a coordinator that overlooks no error."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.protocol.group import JoinGroupRequest

from worker.kafka.fetcher import BoundedFetcher
from worker.kafka.offset_answers import raise_overlooked

if TYPE_CHECKING:
    from aiokafka.consumer.fetcher import Fetcher

    from worker.contract.records import Record
    from worker.kafka.damage import Damage

__all__ = ["Consumer"]


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """Polls records within bounds. A partition that cannot be read holds up no other.

    Args:
        ahead_bytes: bytes fetched and not yet polled at which no more are fetched, over all
            partitions.
        batch_bytes: most bytes to which a compressed batch may be inflated.
        options: aiokafka's.
    """

    def __init__(self, *, ahead_bytes: int, batch_bytes: int, **options: object) -> None:
        self._ahead_bytes = ahead_bytes
        self._batch_bytes = batch_bytes
        self._own_fetcher: BoundedFetcher | None = None
        self._own_coordinator: Any = None
        super().__init__(**options)

    # aiokafka makes its own fetcher in `start`. This property replaces it when it is assigned.
    @property
    def _fetcher(self) -> BoundedFetcher | None:
        return self._own_fetcher

    @_fetcher.setter
    def _fetcher(self, made: Fetcher | None) -> None:
        self._own_fetcher = made and BoundedFetcher(
            made, ahead_bytes=self._ahead_bytes, batch_bytes=self._batch_bytes
        )

    # Likewise made in `start`, before anything is asked of it.
    @property
    def _coordinator(self) -> Any:  # noqa: ANN401 - aiokafka is untyped
        return self._own_coordinator

    @_coordinator.setter
    def _coordinator(self, made: Any) -> None:  # noqa: ANN401 - likewise
        self._own_coordinator = made
        if isinstance(made, GroupCoordinator):
            raise_overlooked(made)

    @property
    def damaged(self) -> Mapping[TopicPartition, Damage]:
        """The assigned partitions that cannot be read any further for now."""
        if self._own_fetcher is None:
            return {}
        assigned = self.assignment()
        return {tp: found for tp, found in self._own_fetcher.damaged.items() if tp in assigned}

    @property
    def unreadable_batches(self) -> Mapping[str, int]:
        """Batches that could not be read so far, by kind; see `BoundedFetcher`."""
        if self._own_fetcher is None:
            return {"content": 0, "damage": 0}
        return self._own_fetcher.unreadable_batches

    @property
    def fetched_bytes(self) -> int:
        """Bytes fetched and not yet polled."""
        return 0 if self._own_fetcher is None else self._own_fetcher.held

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the group's coordinator."""
        node = getattr(self._coordinator, "coordinator_id", None)
        return self._is_connected(node, ConnectionGroup.COORDINATION)

    @property
    def reaches_brokers(self) -> bool:
        """Whether there is a connection to any broker."""
        return any(each.connected() for each in self._client._conns.values())  # noqa: SLF001 - likewise

    def connected_leader(self, partition: TopicPartition) -> int | None:
        """Find the broker that leads a partition.

        Returns:
            Its number; None if it is not known, or there is no connection to it now.
        """
        node: int | None = self._client.cluster.leader_for_partition(partition)
        return node if self._is_connected(node, ConnectionGroup.DEFAULT) else None

    def current_position(self, partition: TopicPartition) -> int | None:
        """Tell which offset is polled next, at once: `position` may wait for brokers.

        Returns:
            The offset; None while it is not known, and for a partition that is not assigned.
        """
        subscription = self._subscription.subscription
        assignment = subscription and subscription.assignment
        state = assignment and assignment.state_value(partition)
        return int(state.position) if state and state.has_valid_position else None

    async def ask_ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask the leaders of partitions once where these end, for this consumer.

        Returns:
            The offset after the last record that it may read: of a transaction that is open it may
            read none (unless `kafka.isolation_level` says otherwise).

        Raises:
            KafkaError: a leader does not answer, or is another one by now.
        """
        if self._own_fetcher is None:
            raise ConsumerStoppedError
        return await self._own_fetcher.ask_ends(partitions)

    async def is_member(self) -> bool | None:
        """Ask the group's coordinator whether this consumer still owns what it was assigned.

        Returns:
            Whether it does; None if that cannot be found out now. After False it joins again.
        """
        coordinator = self._coordinator
        # One that aiokafka is looking for cannot be asked: it would log an error for each question.
        known = coordinator.coordinator_id is not None
        try:
            if known and await coordinator._do_heartbeat():  # noqa: SLF001 - nothing else asks
                return True
        except KafkaError:
            return None
        # aiokafka forgets its membership when the coordinator does not know it.
        forgotten = coordinator.member_id == JoinGroupRequest.UNKNOWN_MEMBER_ID
        return False if forgotten else None

    def _is_connected(self, node: int | None, group: ConnectionGroup) -> bool:
        connection = self._client._conns.get((node, group))  # noqa: SLF001 - nothing else tells
        return connection is not None and connection.connected()

    def drop_coordinator(self) -> None:
        """Close the connections to the group's coordinator; pending requests are sent again.

        A connection can go silent without being closed: a firewall dropped it, a machine is gone.
        aiokafka then waits for its request time-out, which has to be longer than a rebalance.
        """
        node = getattr(self._coordinator, "coordinator_id", None)
        for (each, _), connection in list(self._client._conns.items()):  # noqa: SLF001 - no other way
            if each == node:
                connection.close(reason=CloseReason.CONNECTION_TIMEOUT)

    async def getmany(
        self,
        *partitions: TopicPartition,
        timeout_ms: int = 0,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> dict[TopicPartition, list[Record]]:
        """Poll records of `partitions` (of all, if none is named).

        Args:
            timeout_ms: longest wait for the first record, in milliseconds.
            max_records: most records.
            max_bytes: bytes of records after which no more are returned.

        Returns:
            Records in the order of their offsets, by partition; empty when none came in time.

        Raises:
            KafkaError: the group or a partition cannot be used.
        """
        if self._closed or self._own_fetcher is None:
            raise ConsumerStoppedError
        self._coordinator.check_errors()
        with self._subscription.fetch_context():
            return await self._own_fetcher.poll(
                partitions, timeout_ms / 1000, max_records, max_bytes
            )
