"""Which message made a transaction fail, and with which error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    for_code,
)

from worker.contract.records import Message
from worker.kafka.outgoing import Outgoing
from worker.kafka.transactional_producer import MessageFailedError, TransactionalProducer

MESSAGES = [Outgoing("results", Message(None, b"%d" % number, ())) for number in range(3)]

OVER = [IllegalOperation, AssertionError]
NONE: Mapping[bytes, Exception] = MappingProxyType({})


class Producer:
    """Refuses messages by their values: `refuses` later, `takes_no` at once."""

    def __init__(
        self, refuses: dict[bytes, KafkaError], takes_no: Mapping[bytes, Exception] = NONE
    ) -> None:
        self.refuses, self.takes_no = refuses, takes_no
        self.committed = False
        self._txn_manager = SimpleNamespace(_transaction_waiter=None, is_fatal_error=lambda: True)

    def is_fenced(self) -> None:
        """Have the sending task ended, as aiokafka has it."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ended.set_exception(ProducerFenced())
        self._txn_manager._transaction_waiter = ended

    async def begin_transaction(self) -> None:
        """Nothing needs to be done."""

    async def send(self, topic: str, value: bytes, *rest: object, **more: object) -> object:
        if (error := self.takes_no.get(value)) is not None:
            raise error
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if (refused := self.refuses.get(value)) is None:
            acknowledged.set_result(None)
        else:
            acknowledged.set_exception(refused)
        return acknowledged

    async def send_offsets_to_transaction(self, *offsets: object) -> None:
        """They are always taken."""

    async def commit_transaction(self) -> None:
        self.committed = True


async def commit(producer: Producer) -> None:
    made = TransactionalProducer(lambda: cast("Any", producer), "group", lambda _: False)
    try:
        await made.commit(MESSAGES, TopicPartition("jobs", 0), 3)
    finally:
        assert not producer.committed


async def failure(producer: Producer) -> MessageFailedError:
    with pytest.raises(MessageFailedError) as caught:
        await commit(producer)
    return caught.value


async def test_the_first_message_that_is_refused_is_named() -> None:
    first, second = TopicAuthorizationFailedError("results"), TopicAuthorizationFailedError("more")
    failed = await failure(Producer({b"1": first, b"2": second}))
    assert (failed.number, failed.error) == (1, first)


async def test_an_error_that_does_not_pass_is_the_cause_of_those_that_would() -> None:
    cause = TopicAuthorizationFailedError("results")
    failed = await failure(Producer({b"0": for_code(48)(), b"2": cause}))
    assert (failed.number, failed.error) == (2, cause)
    passing = for_code(48)()
    failed = await failure(Producer({b"1": passing}))
    assert (failed.number, failed.error) == (1, passing)


@pytest.mark.parametrize("over", OVER)
async def test_what_is_not_taken_since_another_was_refused_is_not_the_cause(
    over: type[Exception],
) -> None:
    cause = TopicAuthorizationFailedError("results")
    failed = await failure(Producer({b"0": cause}, {b"1": over()}))
    assert (failed.number, failed.error) == (0, cause)


@pytest.mark.parametrize("over", OVER)
async def test_a_producer_that_is_fenced_while_it_sends_is_no_defect(over: type[Exception]) -> None:
    producer = Producer({}, {b"1": over()})
    producer.is_fenced()
    with pytest.raises(ProducerFenced):
        await commit(producer)


@pytest.mark.parametrize("over", OVER)
async def test_a_transaction_that_is_over_before_its_offsets_is_no_defect(
    over: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_late(*offsets: object) -> None:
        raise over

    producer = Producer({})
    monkeypatch.setattr(producer, "send_offsets_to_transaction", too_late)
    with pytest.raises(KafkaError, match="over before its end"):
        await commit(producer)


async def test_a_message_that_is_not_taken_is_the_cause_otherwise() -> None:
    cause = KafkaError("too large")
    failed = await failure(Producer({}, {b"1": cause}))
    assert (failed.number, failed.error) == (1, cause)


class Connecting:
    """A producer of aiokafka that connects until it is let go on."""

    def __init__(self) -> None:
        self.goes_on, self.started, self.closed = asyncio.Event(), False, False
        self.client = self
        self._sender = SimpleNamespace(sender_task=None)
        self._txn_manager = SimpleNamespace(wait_for_transaction_end=lambda: None)
        self._message_accumulator = SimpleNamespace(_batches={})

    async def start(self) -> None:
        await self.goes_on.wait()
        self.started = True

    async def close(self) -> None:
        self.closed = True


async def test_a_start_that_is_given_up_ends_before_the_connections_are_closed() -> None:
    connecting = Connecting()
    made = TransactionalProducer(lambda: cast("Any", connecting), "group", lambda _: False)
    starting = asyncio.create_task(made.start())
    await asyncio.sleep(0)  # it begins
    starting.cancel()
    await asyncio.wait([starting])
    stopping = asyncio.create_task(made.stop(5.0))
    await asyncio.sleep(0)  # likewise
    assert not connecting.closed
    connecting.goes_on.set()
    await stopping
    assert connecting.started
    assert connecting.closed


async def test_a_start_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.kafka.transactional_producer.GRACE", 0.0)
    connecting = Connecting()
    made = TransactionalProducer(lambda: cast("Any", connecting), "group", lambda _: False)
    starting = asyncio.create_task(made.start())
    await asyncio.sleep(0)  # it begins
    await made.stop(5.0)
    assert connecting.closed
    assert not connecting.started
    with pytest.raises(asyncio.CancelledError):
        await starting
