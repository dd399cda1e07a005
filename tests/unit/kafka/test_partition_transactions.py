"""One partition's transactions: the order of their steps, and what follows each kind of error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    for_code,
)

from worker.clock import Clock
from worker.contract.jobs import Outcome, Postponed, Success
from worker.contract.records import Message, Record
from worker.errors import Failure, Reason, Stage
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.broker_errors import Refused, name_all_codes
from worker.kafka.outgoing import Outgoing, Sizes
from worker.kafka.parcel import Parcel, Refusals
from worker.kafka.partition_transactions import PartitionTransactions
from worker.kafka.starts import Starts
from worker.kafka.topic_history import DOUBT_PATIENCE, TopicHistory
from worker.kafka.transaction_context import Shared
from worker.kafka.transactional_producer import MessageFailedError
from worker.metrics import Metrics
from worker.retry import Retry
from worker.settings import TransactionSettings

name_all_codes()
BOUND = 10.0
PARTITION = TopicPartition("jobs", 0)
FAILURE = Failure(Reason.RESULT_REFUSED, "refused", Stage.PUBLISH)
LETTER = Outgoing("letters", Message(None, b"letter", ()))


class Brokers:
    """What brokers keep: an offset, and what was committed; producers fail as they are told.

    Attributes:
        steps: what was asked of them, in order.
        faults: the errors of the next transactions; None is none.
        late: whether those transactions are committed all the same.
        refuses: error codes by the value of a message.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.offset: int | None = None
        self.published: list[bytes] = []
        self.faults: list[KafkaError | None] = []
        self.late = False
        self.refuses: dict[bytes, int] = {}
        self.member: list[bool | None] = []

    async def committed(self, partition: TopicPartition) -> int | None:
        self.steps.append("committed")
        return self.offset

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.steps.append(f"seek {offset}")

    async def is_member(self) -> bool | None:
        self.steps.append("member?")
        return self.member.pop(0) if self.member else True


class Producer:
    """A producer of these brokers; one error ends it."""

    connected = True

    def __init__(self, brokers: Brokers, history: TopicHistory) -> None:
        self.brokers = brokers
        self.history = history

    async def start(self) -> None:
        self.brokers.steps.append("start")

    async def commit(
        self, messages: Sequence[Outgoing], partition: TopicPartition, offset: int
    ) -> None:
        self.brokers.steps.append(f"commit {offset}")
        self._send(messages)
        fault = self.brokers.faults.pop(0) if self.brokers.faults else None
        if fault is None or self.brokers.late:
            self.brokers.published += [each.message.value or b"" for each in messages]
            self.brokers.offset = offset
        if fault is not None:
            raise fault

    async def probe(self, messages: Sequence[Outgoing]) -> None:
        self.brokers.steps.append("probe")
        self._send(messages)

    async def stop(self, timeout: float) -> None:
        self.brokers.steps.append("stop")

    def _send(self, messages: Sequence[Outgoing]) -> None:
        for number, outgoing in enumerate(messages):
            if code := self.brokers.refuses.get(outgoing.message.value or b""):
                alone = self.history.is_isolated(outgoing.topic)
                raise MessageFailedError(number, for_code(code)(), alone=alone)


def reject(
    record: Record, refused: Refused, ending: Success | Postponed
) -> tuple[Outcome, Sequence[Outgoing]]:
    return FAILURE, [LETTER]


class Setting:
    """The transactions of one partition, and all that they need."""

    def __init__(self) -> None:
        self.brokers = Brokers()
        self.metrics = Metrics()
        self.assignment = Assignment()
        self.assignment.assign([PARTITION])
        self.assignment.current(PARTITION).ready = False
        self.now = 1000.0
        self.slept: list[float] = []
        clock = Clock(monotonic=self.tick, sleep=self.sleep)
        self.forbidden: list[bool] = []
        history = TopicHistory(self.forbidden.append, clock)
        shared = Shared(
            make=lambda _: cast("Any", Producer(self.brokers, history)),
            consumer=cast("Any", self.brokers),
            assignment=self.assignment,
            settings=TransactionSettings(commit_interval=0.01),
            starts=Starts(),
            sizes=Sizes({}, 1 << 20, self.metrics),
            refusals=Refusals(reject, self.metrics),
            history=history,
            metrics=self.metrics,
            retry=Retry(0.1, 1.0),
            membership_pause=3.0,
            results_topic="results",
            clock=clock,
        )
        self.transactions = PartitionTransactions(self.state, shared)

    @property
    def state(self) -> PartitionState:
        return self.assignment.current(PARTITION)

    def tick(self) -> float:
        """Some time passes between any two looks at the clock."""
        self.now += 0.01
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def parcel(self, offset: int) -> Parcel:
        record = Record("jobs", 0, offset, -1, None, b"", ())
        result = Outgoing("results", Message(None, b"%d" % offset, ()))
        return Parcel(self.state, record, Success(()), [result])

    def put(self, *offsets: int) -> list[Parcel]:
        parcels = [self.parcel(offset) for offset in offsets]
        self.transactions.put(parcels)
        return parcels

    def ended(self, outcome: str) -> float | None:
        labels = {"outcome": outcome}
        return self.metrics.registry.get_sample_value("classify_transactions_total", labels)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        running = asyncio.create_task(self.transactions.run())
        try:
            async with asyncio.timeout(BOUND):
                while not self.state.ready:
                    assert not running.done(), running.exception()
                    await asyncio.sleep(0)
                yield running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.transactions.stop()
            assert running.cancelled(), "it has not ended by itself"


@pytest.fixture
async def setting() -> Setting:
    return Setting()


async def delivered(*parcels: Parcel) -> None:
    await asyncio.gather(*(parcel.delivered for parcel in parcels))


async def test_the_producer_starts_before_the_offset_is_read_and_the_partition_polled(
    setting: Setting,
) -> None:
    setting.brokers.offset = 7
    async with setting.running():
        assert setting.brokers.steps == ["start", "committed", "seek 7"]
        await delivered(*setting.put(7, 8))
    assert setting.brokers.steps[3:] == ["commit 9", "stop"]
    assert setting.brokers.published == [b"7", b"8"]
    assert setting.state.committed == 9
    assert setting.ended("committed") == 1


async def test_a_transaction_that_was_aborted_is_made_again(setting: Setting) -> None:
    setting.brokers.faults = [KafkaConnectionError()]
    async with setting.running():
        await delivered(*setting.put(0, 1))
    steps = [step for step in setting.brokers.steps if step != "stop"]
    assert steps == ["start", "committed", "commit 2", "member?", "start", "committed", "commit 2"]
    assert setting.brokers.published == [b"0", b"1"]
    assert (setting.ended("committed"), setting.ended("aborted")) == (1, 1)


async def test_a_transaction_whose_end_was_not_heard_of_is_not_made_twice(
    setting: Setting,
) -> None:
    setting.brokers.faults, setting.brokers.late = [KafkaConnectionError()], True
    async with setting.running():
        await delivered(*setting.put(0, 1))
        await delivered(*setting.put(2))
    assert setting.brokers.published == [b"0", b"1", b"2"]
    assert setting.brokers.offset == 3


async def test_a_partition_that_someone_else_committed_begins_anew_there(setting: Setting) -> None:
    setting.brokers.faults = [KafkaConnectionError()]
    setting.brokers.offset = 0
    async with setting.running():
        before = setting.state
        setting.brokers.offset = 5
        (lost,) = setting.put(0)
        async with asyncio.timeout(BOUND):
            while setting.state is before or not setting.state.ready:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        assert before.ledger.closed
        assert setting.brokers.steps[-1] == "seek 5"
        await delivered(*setting.put(5))
        assert not lost.delivered.done()
    assert setting.brokers.published == [b"5"]


async def test_a_partition_whose_offset_is_gone_with_its_topic_begins_at_its_beginning(
    setting: Setting,
) -> None:
    setting.brokers.faults = [KafkaConnectionError()]
    setting.brokers.offset = 40
    async with setting.running():
        before = setting.state
        setting.brokers.offset = None
        setting.put(40)
        async with asyncio.timeout(BOUND):
            while setting.state is before or not setting.state.ready:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        assert setting.brokers.steps[-1] == "seek 0"
        await delivered(*setting.put(0))
    assert setting.brokers.published == [b"0"]


async def test_a_partition_that_nobody_has_committed_begins_where_reading_began(
    setting: Setting,
) -> None:
    setting.brokers.faults = [KafkaConnectionError(), ProducerFenced()]
    async with setting.running():
        setting.state.start = 7  # as `worker.kafka.positions` found
        setting.put(7)
        before = setting.state
        async with asyncio.timeout(BOUND):
            while setting.state is before or not setting.state.ready:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        assert setting.brokers.steps[-1] == "seek 7"


async def test_a_fenced_partition_is_given_up_until_the_membership_is_certain(
    setting: Setting,
) -> None:
    setting.brokers.faults = [ProducerFenced()]
    setting.brokers.member = [False, False, True]
    setting.brokers.offset = 0
    job = asyncio.create_task(asyncio.sleep(3600))
    setting.state.tasks.add(job)
    async with setting.running():
        before = setting.state
        (lost,) = setting.put(0)
        async with asyncio.timeout(BOUND):
            while setting.state is before or not setting.state.ready:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        assert job.cancelled()
        assert not lost.delivered.done()
        steps = [step for step in setting.brokers.steps[3:] if step != "stop"]
        assert steps == ["commit 1", *["member?"] * 3, "start", "committed", "seek 0"]
        await delivered(*setting.put(0))
    assert setting.brokers.published == [b"0"]
    assert (setting.ended("fenced"), setting.ended("aborted")) == (1, 0)


async def test_a_producer_is_had_again_once_the_coordinator_has_confirmed_the_membership(
    setting: Setting,
) -> None:
    setting.brokers.faults = [KafkaConnectionError()]
    setting.brokers.member = [None, None, True]
    async with setting.running():
        await delivered(*setting.put(0))
    steps = [step for step in setting.brokers.steps[2:] if step != "stop"]
    assert steps == ["commit 1", *["member?"] * 3, "start", "committed", "commit 1"]
    assert setting.brokers.published == [b"0"]


async def test_the_owner_is_not_fenced_by_a_worker_that_was_cut_off(setting: Setting) -> None:
    setting.brokers.faults = [KafkaConnectionError()]
    setting.brokers.member = [False, None, False]
    setting.brokers.offset = 0
    job = asyncio.create_task(asyncio.sleep(3600))
    setting.state.tasks.add(job)
    async with setting.running():
        before = setting.state
        (lost,) = setting.put(0)
        async with asyncio.timeout(BOUND):
            while setting.brokers.member:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        assert setting.brokers.steps.count("start") == 1
        assert job.cancelled()
        assert setting.state is not before, "the jobs are given up once"
        # The owner has gone on meanwhile; then this worker has the partition again.
        setting.brokers.offset = 5
        async with asyncio.timeout(BOUND):
            while not setting.state.ready:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        await delivered(*setting.put(5))
        assert not lost.delivered.done()
    assert setting.brokers.published == [b"5"]


@pytest.mark.parametrize("code", [30, 31, 53])
async def test_a_right_that_is_missing_is_reported_until_it_is_there(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    failures: list[KafkaError] = [for_code(code)(), for_code(code)()]
    start = Producer.start

    async def failing(self: Producer) -> None:
        if failures:
            raise failures.pop()
        await start(self)

    monkeypatch.setattr(Producer, "start", failing)
    async with setting.running():
        assert setting.forbidden == [True, False], "no job and no result is needed for that"


async def test_a_right_that_is_lost_in_a_transaction_is_reported_until_it_is_there(
    setting: Setting,
) -> None:
    setting.brokers.faults = [for_code(53)()]
    async with setting.running():
        await delivered(*setting.put(0))
    assert setting.forbidden == [True, False]


async def test_a_topic_that_may_not_be_written_is_reported_until_it_accepts(
    setting: Setting,
) -> None:
    setting.brokers.faults = [TopicAuthorizationFailedError({"results"})] * 2
    async with setting.running():
        await delivered(*setting.put(0))
    assert setting.forbidden == [True, False]


async def test_a_partition_that_is_given_up_has_no_missing_right(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(self: Producer) -> None:
        raise for_code(53)

    monkeypatch.setattr(Producer, "start", failing)
    running = asyncio.create_task(setting.transactions.run())
    async with asyncio.timeout(BOUND):
        while not setting.forbidden:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await setting.transactions.stop()
    assert setting.forbidden == [True, False]


async def test_only_the_message_that_is_refused_for_good_is_replaced(setting: Setting) -> None:
    setting.brokers.refuses = {b"1": 87}
    async with setting.running():
        parcels = setting.put(0, 1, 2)
        await delivered(*parcels)
    assert setting.brokers.published == [b"0", b"letter", b"2"]
    assert [parcel.ending is FAILURE for parcel in parcels] == [False, True, False]
    assert setting.ended("committed") == 1
    assert setting.slept == [], "what is decided is not waited for"


async def test_what_is_forbidden_holds_up_nothing_before_it(setting: Setting) -> None:
    setting.brokers.refuses = {b"1": 29}
    async with setting.running():
        first, second, third = setting.put(0, 1, 2)
        await delivered(first)
        assert setting.brokers.offset == 1
        setting.brokers.refuses = {}
        await delivered(second, third)
    assert setting.brokers.published == [b"0", b"1", b"2"]


async def test_a_doubtful_message_is_at_fault_once_others_are_accepted_for_long_enough(
    setting: Setting,
) -> None:
    setting.brokers.refuses = {b"0": 2}
    async with setting.running():
        first, second = setting.put(0, 1)
        await delivered(first, second)
    assert setting.brokers.published == [b"letter", b"1"]
    assert "probe" in setting.brokers.steps
    assert first.ending is FAILURE
    assert setting.now >= 1000.0 + DOUBT_PATIENCE


async def test_offsets_that_are_no_jobs_are_committed_too(setting: Setting) -> None:
    setting.brokers.offset = 3
    setting.state.ledger.advance_to(5)
    async with setting.running():
        async with asyncio.timeout(BOUND):
            await setting.transactions.quiet()
    assert setting.brokers.offset == 5
    assert setting.brokers.published == []


async def test_nothing_is_committed_backwards_before_jobs_have_settled(setting: Setting) -> None:
    setting.brokers.offset = 0
    setting.state.ledger.advance_to(0)
    async with setting.running():
        await delivered(*setting.put(0, 1))
        setting.transactions.hurry()
        async with asyncio.timeout(BOUND):
            await setting.transactions.quiet()
    assert setting.brokers.offset == 2


async def test_a_topic_that_begins_anew_is_committed_from_its_beginning(setting: Setting) -> None:
    setting.brokers.offset = 90
    async with setting.running():
        (old,) = setting.put(95)
        await delivered(old)
        fresh = setting.assignment.restart(setting.state)
        fresh.start = 0
        fresh.ledger.advance_to(0)
        setting.transactions.hurry()
        async with asyncio.timeout(BOUND):
            await setting.transactions.quiet()
        assert setting.brokers.offset == 0
        await delivered(*setting.put(0))
    assert setting.brokers.offset == 1


async def test_a_start_that_fails_is_tried_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [KafkaConnectionError(), TimeoutError()]
    start = Producer.start

    async def failing(self: Producer) -> None:
        if failures:
            raise failures.pop()
        await start(self)

    monkeypatch.setattr(Producer, "start", failing)
    async with setting.running():
        await delivered(*setting.put(0))
    assert setting.brokers.published == [b"0"]
