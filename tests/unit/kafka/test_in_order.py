"""Results in the order of jobs without transactions: waiting, sending ahead, and refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from worker.contract.jobs import Outcome, Postponed, Success
from worker.contract.records import Message, Record
from worker.errors import Failure, Reason, Stage
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.broker_errors import Refused
from worker.kafka.in_order import InOrder
from worker.kafka.outgoing import Outgoing
from worker.kafka.parcel import Parcel, Refusals
from worker.metrics import Metrics

BOUND = 10.0
PARTITION = TopicPartition("jobs", 0)
FAILURE = Failure(Reason.RESULT_REFUSED, "refused", Stage.PUBLISH)
LETTER = Outgoing("letters", Message(None, b"letter", ()))


class Publisher:
    """Acknowledges what it is not told to fail, in the order in which it is given.

    Attributes:
        fails_ahead: values that are not acknowledged when they are sent ahead.
        refuses: values that no attempt gets through.
    """

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []
        self.fails_ahead: set[bytes] = set()
        self.refuses: set[bytes] = set()

    async def send_ahead(self, messages: Sequence[Outgoing]) -> set[int]:
        values = [each.message.value or b"" for each in messages]
        sent = {number for number, value in enumerate(values) if value not in self.fails_ahead}
        self.acknowledged += [values[number] for number in sorted(sent)]
        return sent

    async def deliver(self, outgoing: Outgoing) -> Refused | None:
        value = outgoing.message.value or b""
        if value in self.refuses:
            return Refused(outgoing.topic, 87, "INVALID_RECORD")
        self.acknowledged.append(value)
        return None


def reject(
    record: Record, refused: Refused, ending: Success | Postponed
) -> tuple[Outcome, Sequence[Outgoing]]:
    return FAILURE, [LETTER]


class Line:
    """One partition whose jobs end as the test says."""

    def __init__(self) -> None:
        self.publisher = Publisher()
        metrics = Metrics()
        refusals = Refusals(reject, metrics)
        self.delivery = InOrder(cast("Any", self.publisher), refusals, 1.0, metrics, None)
        assignment = Assignment()
        assignment.assign([PARTITION])
        self.state: PartitionState = assignment.current(PARTITION)
        for offset in range(4):
            self.state.track(offset)
        self.delivery.begin([self.state])

    def end(self, offset: int) -> asyncio.Task[None]:
        record = Record("jobs", 0, offset, -1, None, b"", ())
        result = Outgoing("results", Message(None, b"%d" % offset, ()))
        self.last = Parcel(self.state, record, Success(()), [result])
        return asyncio.create_task(self.delivery.deliver(self.last))


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = Line()
    yield made
    made.delivery._end()


async def all_of(*jobs: asyncio.Task[None]) -> None:
    async with asyncio.timeout(BOUND):
        await asyncio.gather(*jobs)


async def test_a_job_waits_for_all_before_it(line: Line) -> None:
    third, second = line.end(2), line.end(1)
    await asyncio.sleep(0)
    assert line.publisher.acknowledged == []
    await all_of(line.end(0), second, third)
    assert line.publisher.acknowledged == [b"0", b"1", b"2"]
    assert not third.cancelled()


async def test_what_was_not_acknowledged_ahead_is_sent_again_in_order(line: Line) -> None:
    line.publisher.fails_ahead = {b"1", b"2"}
    await all_of(*(line.end(offset) for offset in (2, 1, 0)))
    assert line.publisher.acknowledged == [b"0", b"1", b"2"]


async def test_what_is_refused_is_replaced_before_what_follows(line: Line) -> None:
    line.publisher.fails_ahead = {b"1", b"2"}
    line.publisher.refuses = {b"1"}
    jobs = [line.end(2), line.end(0), line.end(1)]
    await all_of(*jobs)
    assert line.publisher.acknowledged == [b"0", b"letter", b"2"]
    assert line.last.ending is FAILURE


async def test_a_job_that_ends_while_its_partition_is_given_up_sends_nothing(line: Line) -> None:
    line.delivery._end()
    late = line.end(0)
    await asyncio.sleep(0)
    assert line.publisher.acknowledged == []
    late.cancel()
    await asyncio.wait([late])
    assert late.cancelled()
