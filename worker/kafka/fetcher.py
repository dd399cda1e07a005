"""aiokafka's fetcher with three promises of ours.

Its own one lets a batch that it cannot read fail the polls of all partitions, again and again. It
inflates batches without a limit. And it fetches ahead for each partition by itself, so that all of
them together have no limit either. Requests, positions and resets are left to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchError, OffsetResetStrategy
from aiokafka.errors import (
    KafkaError,
    NoError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)

from worker.kafka.damage import Damage
from worker.kafka.fetched import Fetched
from worker.kafka.refusals import Verdict, judge
from worker.kafka.unreadable import Unreadable

if TYPE_CHECKING:
    from aiokafka.consumer.subscription_state import Assignment, TopicPartitionState
    from aiokafka.protocol.fetch import FetchRequest

    from worker.contract.records import Record

__all__ = ["BoundedFetcher"]

RETRY = 5.0
"""Seconds until a partition that could not be read is tried again: another replica may have become
its leader, or an operator may have removed what is damaged."""

REFUSED_PAUSE = 0.5
"""Seconds until a partition is asked for again that its broker cannot serve: it may have moved."""

POLL_BYTES = 8 * 1024 * 1024
"""Bytes of records after which a poll ends: inflating them holds up the event loop."""

SMALLEST_SHARE = 64 * 1024
"""Bytes that a fetch asks for of one partition, however many partitions there are."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _SetAside:
    """Stands among the fetched records for a partition that is not fetched for a while."""

    until: float

    def calculate_backoff(self) -> float:
        """None: aiokafka would let all partitions of the same broker wait."""
        return 0.0


@dataclass(slots=True)
class _Entry:
    """Stands among the fetched records as aiokafka expects it of its own kind of result."""

    fetched: Fetched
    assignment: Assignment
    created: float
    backoff: float

    def calculate_backoff(self) -> float:
        """Seconds that the broker's other partitions wait for these records to be taken."""
        return max(0.0, self.created + self.backoff - time.monotonic())


class BoundedFetcher(Fetcher):  # type: ignore[misc]  # aiokafka is untyped
    """Takes the place of `made`, which has not begun yet.

    Args:
        ahead_bytes: bytes fetched and not yet taken at which no more are fetched, over all
            partitions. A batch that is larger than what is left comes whole.
        batch_bytes: what a compressed batch may inflate to.

    Attributes:
        damaged: partitions that cannot be read any further for now.
    """

    def __init__(
        self,
        made: Fetcher,
        *,
        ahead_bytes: int,
        batch_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        made._fetch_task.cancel()  # noqa: SLF001 - the one place that takes it over
        self.__dict__.update(vars(made))
        self._ahead_bytes = ahead_bytes
        self._batch_bytes = batch_bytes
        self._partition_bytes: int = made._max_partition_fetch_bytes  # noqa: SLF001 - likewise
        self._clock = clock
        self._served: Assignment | None = None
        # Bytes asked for by node; what counts is those of nodes in `_in_flight`.
        self._asked: dict[int, int] = {}
        # Whether the last look at what is fetched ended amid records that are stepped over.
        self._skipping = False
        self.damaged = Unreadable(RETRY)
        self._fetch_task = asyncio.create_task(self._fetch_requests_routine())

    @property
    def held(self) -> int:
        """Bytes fetched and not yet taken."""
        return sum(entry.fetched.held for entry in self._entries().values())

    def _entries(self) -> dict[TopicPartition, _Entry]:
        return {tp: entry for tp, entry in self._records.items() if isinstance(entry, _Entry)}

    def _get_actions_per_node(self, assignment: Assignment) -> tuple[Any, ...]:
        if assignment is not self._served:
            self._served = assignment
            self.damaged.forget()
        room = self._make_room(assignment)
        nodes = {self._select_read_replica(partition) for partition in assignment.tps}
        self._fetch_max_bytes = max(1, room // max(1, len(nodes - self._in_flight)))
        share = max(SMALLEST_SHARE, self._ahead_bytes // max(1, len(assignment.tps)))
        self._max_partition_fetch_bytes = min(self._partition_bytes, share)
        requests, *others = super()._get_actions_per_node(assignment)
        if room <= 0:
            requests = []
        for node, _ in requests:
            self._asked[node] = self._fetch_max_bytes
        return requests, *others

    def _make_room(self, assignment: Assignment) -> int:
        """Bytes that may be fetched now.

        Partitions that are paused must not use up what others could be fetched with: if there is
        no room otherwise, theirs are dropped, and fetched again later.
        """
        asked = sum(self._asked.get(node, 0) for node in self._in_flight)
        room: int = self._ahead_bytes - asked - self.held
        paused = {tp for tp in assignment.tps if assignment.state_value(tp).paused}
        if assignment.tps - self._records.keys() - paused:
            for partition, entry in self._entries().items():
                if room > 0:
                    break
                if partition in paused:
                    room += entry.fetched.held
                    entry.fetched.close()
                    del self._records[partition]
        return room

    async def _proc_fetch_request(
        self, assignment: Assignment, node_id: int, request: FetchRequest
    ) -> bool:
        """Ask one broker; whether there is something to poll now."""
        try:
            response = await self._client.send(node_id, request)
        except KafkaError as error:
            log.warning("fetch_failed", node=node_id, error=str(error))
            self._invalidate_preferred_read_replica_for_node(node_id, request)
            await asyncio.sleep(self._retry_backoff)
            return False
        except asyncio.CancelledError:
            return False  # closed, or the assignment ended
        if not assignment.active:
            return False
        asked = {
            TopicPartition(topic, number): offset
            for topic, partitions in request.topics
            for number, offset, _ in partitions
        }
        news = False
        # A client above its quota gets an answer without records, at first.
        filled = getattr(response, "throttle_time_ms", 0) > 0
        for topic, partitions in response.topics:
            for number, code, end, *more in partitions:
                partition = TopicPartition(topic, number)
                state = assignment.state_value(partition)
                # Otherwise it was sought elsewhere meanwhile.
                if state.has_valid_position and state.position == asked[partition]:
                    if code == NoError.errno:
                        news |= self._keep(assignment, partition, end, more, full=filled)
                    else:
                        news |= self._refused(state, partition, for_code(code))
                filled |= bool(more[-1])
        return news

    def _keep(
        self,
        assignment: Assignment,
        partition: TopicPartition,
        end: int,
        more: list[Any],
        *,
        full: bool,
    ) -> bool:
        """Keep what was fetched until it is polled; whether there is anything.

        Args:
            end: the partition's end.
            more: the fields after it; the last one holds the batches.
            full: whether the broker had a reason to send nothing: a quota, or that it fills its
                answer in the order of the request, and sends the first batch whatever its size.
        """
        state, data = assignment.state_value(partition), more[-1]
        self.damaged.heal(partition, state.position)
        state.highwater, state.lso = end, more[0] if len(more) > 1 else None
        state.timestamp = int(1000 * time.time())
        # An answer that is full says nothing of what it lacks.
        missing = not data and state.position < self._readable_end(end, more)
        if not (missing and full) and self.damaged.is_withheld(partition, missing, self._clock()):
            why = "the broker has records there and does not send them"
            self._note_damage(Damage(partition, state.position, None, why))
        if not data:
            return False
        # The field before the batches, or before the preferred replica that stands between them.
        aborted = more[2 if len(more) > 3 else 1] if len(more) > 1 else None
        skipped = (aborted or ()) if self._isolation_level else ()
        fetched = Fetched(partition, data, state.position, end, skipped, self._batch_bytes)
        self._records[partition] = _Entry(
            fetched, assignment, time.monotonic(), self._prefetch_backoff
        )
        return True

    def _readable_end(self, end: int, more: list[Any]) -> int:
        """Where the records end that the broker can send: at the first open transaction."""
        stable = more[0] if len(more) > 1 and self._isolation_level else -1
        return end if stable < 0 else stable

    def _refused(
        self, state: TopicPartitionState, partition: TopicPartition, error: type[KafkaError]
    ) -> bool:
        """A broker's error for one partition; whether polls have to raise it."""
        self._preferred_read_replica.pop(partition, None)
        if error is OffsetOutOfRangeError:
            if self._default_reset_strategy == OffsetResetStrategy.NONE:
                self._set_error(partition, error({partition: state.position}))
                return True
            state.await_reset(self._default_reset_strategy)
        elif error is TopicAuthorizationFailedError:
            self._set_error(partition, error(partition.topic))
            return True
        elif error.invalid_metadata or judge(error()) is Verdict.RETRY:
            log.info("fetch_refused", partition=partition.partition, error=error.__name__)
            self._client.force_metadata_update()
            self._set_aside(partition, REFUSED_PAUSE)
        else:
            why = f"the broker answers {error.__name__} ({error.description})"
            self._note_damage(Damage(partition, state.position, None, why))
        return False

    async def poll(
        self,
        partitions: Collection[TopicPartition],
        wait: float,
        max_records: int | None,
        max_bytes: int | None,
    ) -> dict[TopicPartition, list[Record]]:
        """Fetched records of `partitions` (of all, if empty), waiting `wait` seconds for some.

        Raises:
            KafkaError: the group or a topic cannot be used.
        """
        deadline = self._clock() + wait
        while True:
            # What is fetched until a rebalance is over may belong to somebody else after it.
            if self._subscriptions.reassignment_in_progress:
                await self._subscriptions.wait_for_assignment()
            polled = self._take(partitions, max_records, max_bytes)
            left = deadline - self._clock()
            if polled or left <= 0 or self._closed:
                return polled
            if self._skipping:
                await asyncio.sleep(0)
                continue
            waiter = self._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=left)
            if not waiter.done():
                waiter.cancel()
                return {}
            waiter.result()  # an error of the group

    def _take(
        self,
        partitions: Collection[TopicPartition],
        max_records: int | None,
        max_bytes: int | None,
    ) -> dict[TopicPartition, list[Record]]:
        self._skipping = False
        polled: dict[TopicPartition, list[Record]] = {}
        room = POLL_BYTES if max_bytes is None else min(max_bytes, POLL_BYTES)
        for partition in list(self._records):
            entry = self._records[partition]
            if isinstance(entry, _SetAside):
                if self._clock() >= entry.until:
                    self._drop(partition)
                continue
            if partitions and partition not in partitions:
                continue
            if isinstance(entry, FetchError):
                if polled:
                    break
                self._drop(partition)
                entry.check_raise()
            records = self._read(partition, entry, max_records, room)
            if not records:
                continue
            polled[partition] = records
            room -= sum(record.size for record in records)
            if max_records is not None:
                max_records -= len(records)
            if room <= 0 or max_records == 0:
                break
        return polled

    def _read(
        self, partition: TopicPartition, entry: _Entry, most: int | None, nbytes: int
    ) -> list[Record]:
        state, fetched = entry.assignment.state_value(partition), entry.fetched
        if not entry.assignment.active or state.position != fetched.position:
            self._drop(partition)  # it was sought elsewhere, or has another owner
            return []
        if state.paused:
            return []
        records = fetched.take(most, nbytes)
        self._skipping |= fetched.skipping
        state.consumed_to(fetched.position)
        self.damaged.heal(partition, fetched.position)
        if fetched.finished:
            self._drop(partition)
        if fetched.damage is not None:
            self._note_damage(fetched.damage)
        return records

    def _drop(self, partition: TopicPartition) -> None:
        """Let go of what is kept for a partition, so that it is fetched again."""
        del self._records[partition]
        self._notify(self._wait_consume_future)

    def _set_aside(self, partition: TopicPartition, seconds: float) -> None:
        self._records[partition] = _SetAside(self._clock() + seconds)

    def _note_damage(self, damage: Damage) -> None:
        if damage.doubtful and self.damaged.doubt(damage):
            return  # it is fetched again at once
        self._set_aside(damage.partition, RETRY)
        self.damaged.note(damage)
