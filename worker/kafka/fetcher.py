"""aiokafka's fetcher, changed in four respects.

1. A batch that cannot be read fails only its own partition. aiokafka's fetcher would fail the polls
   of all partitions with it, again and again.
2. Batches are decompressed up to a limit.
3. What is fetched ahead has one limit for all partitions together. aiokafka has one for each.
4. With many partitions a fetch brings records of as many as fit (`fetch_plan.py`).

Requests, positions and resets are left to aiokafka.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, OffsetResetStrategy
from aiokafka.errors import (
    KafkaError,
    NoError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)

from worker.clock import SYSTEM_CLOCK, Clock
from worker.kafka.batches import first_size
from worker.kafka.broker_errors import ErrorKind, classify
from worker.kafka.damage import Damage
from worker.kafka.fetch_buffer import FetchBuffer
from worker.kafka.fetch_plan import FetchPlan
from worker.kafka.fetch_response import PartitionResponse, read_partition_response
from worker.kafka.fetched_batches import FetchedBatches
from worker.kafka.frames import in_place
from worker.logs import get_logger
from worker.repeats import Repeats
from worker.retry import Retry

if TYPE_CHECKING:
    from aiokafka.consumer.subscription_state import Assignment, TopicPartitionState
    from aiokafka.protocol.fetch import FetchRequest

    from worker.contract.records import Record
    from worker.kafka.unreadable_partitions import UnreadablePartitions

__all__ = ["BoundedFetcher"]

FAILED_RETRY = Retry(first=0.1, longest=1.0)
"""When a broker that did not answer a fetch is asked again."""

REFUSED_PAUSE = 0.5
"""Seconds until a partition is fetched again that its broker could not serve: it may have moved."""

FETCH_BYTES = 4 * 1024 * 1024
"""Most bytes that a fetch asks one broker for. The processor's cache does not hold more, and an
answer with several partitions is copied at a stretch."""

SMALLEST_SHARE = 64 * 1024
"""Bytes that a fetch asks for of one partition at least, however many partitions there are."""

log = get_logger(__name__)


class BoundedFetcher(Fetcher):  # type: ignore[misc]  # aiokafka is untyped
    """Takes over from aiokafka's own fetcher `made`, which has not fetched anything yet.

    Args:
        ahead_bytes: bytes fetched and not yet polled at which no more are fetched, over all
            partitions. A batch that is larger than what is left comes whole.
        batch_bytes: most bytes to which a compressed batch may be decompressed.
    """

    def __init__(
        self,
        made: Fetcher,
        *,
        ahead_bytes: int,
        batch_bytes: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        made._fetch_task.cancel()  # noqa: SLF001 - this class takes its place
        self.__dict__.update(vars(made))
        self._ahead_bytes = ahead_bytes
        self._batch_bytes = batch_bytes
        self._partition_bytes: int = made._max_partition_fetch_bytes  # noqa: SLF001 - likewise
        self._clock = clock
        self._repeats = Repeats(clock=clock)
        self._failing: dict[int, Iterator[float]] = {}  # by node
        self._unreadable_contents = 0
        self._served: Assignment | None = None
        self._plans: defaultdict[int, FetchPlan] = defaultdict(FetchPlan)  # by node
        # Bytes asked for by node. Only those of nodes in `_in_flight` count.
        self._asked: dict[int, int] = {}
        self._buffer = FetchBuffer(
            self._prefetch_backoff, lambda: self._notify(self._wait_consume_future), clock
        )
        self._records = self._buffer.entries  # aiokafka's name
        self._fetch_task = asyncio.create_task(self._fetch_requests_routine())

    @property
    def held(self) -> int:
        """Bytes fetched and not yet polled."""
        return self._buffer.held

    @property
    def damaged(self) -> UnreadablePartitions:
        """Partitions that cannot be read any further for now."""
        return self._buffer.unreadable

    @property
    def unreadable_batches(self) -> dict[str, int]:
        """Batches that could not be read so far: for their content, or for damage at the broker."""
        return {"content": self._unreadable_contents, "damage": self.damaged.noted}

    async def ask_ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask leaders once where partitions end; see `Consumer.ask_ends`.

        Raises:
            KafkaError: a leader does not answer, or is another one by now.
        """
        wanted = dict.fromkeys(partitions, OffsetResetStrategy.LATEST)
        try:
            answers = await self._proc_offset_requests(wanted)
        except KafkaError as error:
            if error.invalid_metadata:
                self._client.force_metadata_update()
            raise
        return {partition: end for partition, (end, _) in answers.items()}

    def _get_actions_per_node(self, assignment: Assignment) -> tuple[Any, ...]:
        if assignment is not self._served:
            self._served = assignment
            self._plans.clear()
            self.damaged.forget()
        room = self._make_room(assignment)
        nodes = {self._select_read_replica(partition) for partition in assignment.tps}
        each = room // max(1, len(nodes - self._in_flight))
        self._fetch_max_bytes = max(1, min(each, FETCH_BYTES))
        share = max(SMALLEST_SHARE, self._ahead_bytes // max(1, len(assignment.tps)))
        self._max_partition_fetch_bytes = min(self._partition_bytes, share)
        requests, *others = super()._get_actions_per_node(assignment)
        if room <= 0:
            requests = []
        for node, request in requests:
            self._asked[node] = self._fetch_max_bytes
            arranged = self._plans[node].arrange(request.topics, self._partition_bytes)
            request._topics = arranged  # noqa: SLF001 - aiokafka has no other way
        return requests, *others

    def _make_room(self, assignment: Assignment) -> int:
        """Compute how many bytes may be fetched now.

        Batches of paused partitions must not keep others from being fetched: if there is no room
        otherwise, they are dropped, and fetched again later.
        """
        asked = sum(self._asked.get(node, 0) for node in self._in_flight)
        room: int = self._ahead_bytes - asked - self.held
        paused = {tp for tp in assignment.tps if assignment.state_value(tp).paused}
        if assignment.tps - self._records.keys() - paused:
            room += self._buffer.drop_until(1 - room, paused)
        return room

    async def _proc_fetch_request(
        self, assignment: Assignment, node_id: int, request: FetchRequest
    ) -> bool:
        """Send one broker a request and keep what it answers.

        Returns:
            Whether there is something to poll now.
        """
        try:
            response = await self._client.send(node_id, in_place(request))
        except KafkaError as error:
            self._invalidate_preferred_read_replica_for_node(node_id, request)
            await self._pause(node_id, error)
            return False
        except asyncio.CancelledError:
            return False  # the consumer was closed, or the assignment ended
        self._failing.pop(node_id, None)
        if not assignment.active:
            return False
        asked = {
            TopicPartition(topic, number): (offset, most)
            for topic, partitions in request.topics
            for number, offset, most in partitions
        }
        news = False
        # A broker answers a client that exceeds its quota without records first.
        throttled = getattr(response, "throttle_time_ms", 0) > 0
        room, came, plan = self._asked[node_id], 0, self._plans[node_id]
        for topic, partitions in response.topics:
            for fields in partitions:
                found = read_partition_response(fields)
                partition = TopicPartition(topic, found.number)
                state = assignment.state_value(partition)
                offset, most = asked[partition]
                if found.data:
                    # Even if it is not kept: what comes again and again in vain has had its turn.
                    plan.note_came(partition, first_size(found.data), first=came == 0)
                # Otherwise the position was changed meanwhile.
                if state.has_valid_position and state.position == offset:
                    if found.code == NoError.errno:
                        full = throttled or came > 0
                        fits = most if came and not throttled and came + most <= room else 0
                        news |= self._keep(assignment, partition, found, plan, full=full, fits=fits)
                    else:
                        news |= self._handle_error(state, partition, for_code(found.code))
                came += len(found.data)
        return news

    async def _pause(self, node: int, error: KafkaError) -> None:
        """Wait after a fetch that failed, longer each time."""
        left_out = self._repeats.admit((node, str(error)))
        if left_out is not None:
            log.warning("fetch_failed", node=node, error=str(error), left_out=left_out)
        pauses = self._failing.setdefault(node, FAILED_RETRY.pauses(self._clock))
        await self._clock.sleep(next(pauses))

    def _keep(
        self,
        assignment: Assignment,
        partition: TopicPartition,
        found: PartitionResponse,
        plan: FetchPlan,
        *,
        full: bool,
        fits: int,
    ) -> bool:
        """Keep what was fetched until it is polled.

        Args:
            plan: that of the broker's partitions.
            full: whether the broker had a reason to send nothing for this partition: a quota, or
                batches of partitions earlier in the request. The first batch comes whatever its
                size.
            fits: bytes of a batch of this partition that would have come all the same; 0 if that is
                not known.

        Returns:
            Whether there is anything to poll.
        """
        state = assignment.state_value(partition)
        self.damaged.clear_passed(partition, state.position)
        state.highwater, state.lso = found.end, found.stable_end
        state.timestamp = int(1000 * self._clock.wall())
        committed = bool(self._isolation_level)
        missing = not found.data and state.position < found.readable_end(committed=committed)
        if not (missing and full) and self.damaged.is_withheld(
            partition, missing, self._clock.monotonic()
        ):
            why = "the broker has records there and does not send them"
            self._buffer.note_damage(Damage(partition, state.position, None, why))
        if missing and fits:
            plan.note_too_large(partition, fits)
        if not found.data:
            return False
        aborted = found.aborted if committed else ()
        batches = FetchedBatches(
            partition,
            found.data,
            state.position,
            found.end,
            aborted,
            self._batch_bytes,
            self._count_unreadable,
        )
        self._buffer.keep(partition, batches, assignment)
        return True

    def _count_unreadable(self) -> None:
        self._unreadable_contents += 1

    def _handle_error(
        self, state: TopicPartitionState, partition: TopicPartition, error: type[KafkaError]
    ) -> bool:
        """Handle a broker's error for one partition.

        Returns:
            Whether the next poll has to raise it.
        """
        self._preferred_read_replica.pop(partition, None)
        if error is OffsetOutOfRangeError:
            if self._default_reset_strategy == OffsetResetStrategy.NONE:
                self._set_error(partition, error({partition: state.position}))
                return True
            state.await_reset(self._default_reset_strategy)
        elif error is TopicAuthorizationFailedError:
            self._set_error(partition, error(partition.topic))
            return True
        elif error.invalid_metadata or classify(error()) is ErrorKind.RETRY:
            log.info("fetch_refused", partition=partition.partition, error=error.__name__)
            self._client.force_metadata_update()
            self._buffer.suspend(partition, REFUSED_PAUSE)
        else:
            why = f"the broker answers {error.__name__} ({error.description})"
            self._buffer.note_damage(Damage(partition, state.position, None, why))
        return False

    async def close(self) -> None:
        """Stop fetching.

        aiokafka's own `close` raises CancelledError if a request that it cancels is in the pause
        after a failure, or has not begun; the consumer's connections then stay open.
        """
        self._fetch_task.cancel()
        # It begins requests, so it ends before them.
        await asyncio.gather(self._fetch_task, return_exceptions=True)
        for request in self._pending_tasks:
            request.cancel()
        await asyncio.gather(*self._pending_tasks, return_exceptions=True)
        self._pending_tasks.clear()
        await super().close()

    async def poll(
        self,
        partitions: Collection[TopicPartition],
        wait: float,
        max_records: int | None,
        max_bytes: int | None,
    ) -> dict[TopicPartition, list[Record]]:
        """Take fetched records of `partitions` (of all, if empty).

        Args:
            wait: seconds to wait for the first record.

        Returns:
            Records in the order of their offsets, by partition; empty when none came in time.

        Raises:
            KafkaError: the group or a topic cannot be used.
        """
        deadline = self._clock.monotonic() + wait
        while True:
            # What is fetched during a rebalance may belong to another member after it.
            if self._subscriptions.reassignment_in_progress:
                await self._subscriptions.wait_for_assignment()
            polled = self._buffer.take(partitions, max_records, max_bytes)
            left = deadline - self._clock.monotonic()
            if polled or left <= 0 or self._closed:
                return polled
            if self._buffer.skipping:
                await asyncio.sleep(0)
                continue
            waiter = self._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=left)
            if not waiter.done():
                waiter.cancel()
                return {}
            waiter.result()  # raises an error of the group
