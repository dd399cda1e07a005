"""What was fetched is polled in order, within bounds, or dropped: no broker needed."""

from __future__ import annotations

import struct

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from worker.clock import Clock
from worker.kafka.damage import Damage
from worker.kafka.fetch_buffer import RETRY, FetchBuffer
from worker.kafka.fetched_batches import FetchedBatches

ZERO, ONE = TopicPartition("jobs", 0), TopicPartition("jobs", 1)
MANY = 1 << 30


class Buffer:
    """A buffer, its assignment at offset 100 of both partitions, and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.drops = 0
        self.assignment = Assignment([ZERO, ONE])
        for partition in (ZERO, ONE):
            self.assignment.state_value(partition).seek(100)
        self.buffer = FetchBuffer(0.1, self.dropped, Clock(lambda: self.now))

    def dropped(self) -> None:
        self.drops += 1

    def keep(self, partition: TopicPartition, count: int = 3) -> None:
        """Fetch a batch of `count` records of 10 bytes, from offset 100 on."""
        builder = _DefaultRecordBatchBuilderPy(
            2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
            batch_size=MANY,
        )  # fmt: skip
        for number in range(count):
            builder.append(number, 0, None, bytes(10), [])
        data = bytearray(builder.build())
        struct.pack_into(">q", data, 0, 100)
        batches = FetchedBatches(partition, bytes(data), 100, MANY, (), MANY)
        self.buffer.keep(partition, batches, self.assignment)

    def take(
        self, *partitions: TopicPartition, most: int | None = None, nbytes: int | None = None
    ) -> dict[int, list[int]]:
        taken = self.buffer.take(partitions, most, nbytes)
        return {
            partition.partition: [record.offset for record in records]
            for partition, records in taken.items()
        }


@pytest.fixture
async def buffer() -> Buffer:
    return Buffer()


async def test_records_are_taken_once_and_make_place(buffer: Buffer) -> None:
    buffer.keep(ZERO)
    buffer.keep(ONE)
    assert buffer.take(ONE) == {1: [100, 101, 102]}
    assert buffer.take() == {0: [100, 101, 102]}
    assert buffer.take() == {}
    assert (buffer.buffer.held, buffer.drops) == (0, 2)
    assert buffer.assignment.state_value(ZERO).position == 103


@pytest.mark.parametrize(("most", "nbytes"), [(4, None), (None, 35)])
async def test_a_poll_is_bounded_over_all_partitions(
    buffer: Buffer, most: int | None, nbytes: int | None
) -> None:
    buffer.keep(ZERO)
    buffer.keep(ONE)
    assert buffer.take(most=most, nbytes=nbytes) == {0: [100, 101, 102], 1: [100]}
    assert buffer.buffer.held > 0
    assert buffer.take() == {1: [101, 102]}


async def test_what_is_paused_stays_and_what_was_sought_elsewhere_is_dropped(
    buffer: Buffer,
) -> None:
    buffer.keep(ZERO)
    buffer.keep(ONE)
    buffer.assignment.state_value(ZERO).pause()
    buffer.assignment.state_value(ONE).seek(50)
    assert buffer.take() == {}
    assert buffer.buffer.entries.keys() == {ZERO}
    buffer.assignment.state_value(ZERO).resume()
    assert buffer.take() == {0: [100, 101, 102]}


async def test_what_was_fetched_for_an_earlier_assignment_is_dropped(buffer: Buffer) -> None:
    buffer.keep(ZERO)
    buffer.assignment._unassign()
    assert buffer.take() == {}
    assert buffer.buffer.entries == {}


async def test_only_as_much_is_dropped_as_is_needed(buffer: Buffer) -> None:
    buffer.keep(ZERO)
    buffer.keep(ONE)
    each = buffer.buffer.held // 2
    assert buffer.buffer.drop_until(0, {ZERO, ONE}) == 0
    assert buffer.buffer.drop_until(1, {ONE}) == each
    assert buffer.buffer.entries.keys() == {ZERO}
    assert buffer.buffer.drop_until(MANY, {ZERO, ONE}) == each
    assert buffer.buffer.held == 0


async def test_an_error_is_raised_after_the_records_before_it(buffer: Buffer) -> None:
    buffer.keep(ZERO)
    error = TopicAuthorizationFailedError("jobs")
    buffer.buffer.entries[ONE] = FetchError(error=error, backoff=0)
    assert buffer.take() == {0: [100, 101, 102]}
    with pytest.raises(TopicAuthorizationFailedError):
        buffer.take()
    assert buffer.take() == {}


async def test_a_damaged_partition_is_fetched_again_after_a_while(buffer: Buffer) -> None:
    buffer.buffer.note_damage(Damage(ZERO, 100, None, "its checksum is wrong"))
    assert buffer.take() == {}
    assert buffer.buffer.entries.keys() == buffer.buffer.unreadable.keys() == {ZERO}
    buffer.now = RETRY
    assert buffer.take() == {}
    assert buffer.buffer.entries == {}


async def test_a_doubtful_damage_is_fetched_again_at_once(buffer: Buffer) -> None:
    doubtful = Damage(ZERO, 100, None, "it claims offset 7", doubtful=True)
    buffer.buffer.note_damage(doubtful)
    assert (dict(buffer.buffer.entries), dict(buffer.buffer.unreadable)) == ({}, {})
    buffer.buffer.note_damage(doubtful)
    assert buffer.buffer.unreadable.keys() == {ZERO}
