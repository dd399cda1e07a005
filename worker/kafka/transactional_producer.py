"""One producer of transactions: started, used, and given up at its first error.

aiokafka numbers batches as it sends them, and a batch that failed leaves a gap that the brokers
never accept. So an error ends the producer. Its successor has the same transactional id: starting
it aborts what this one left open, or completes it if its end had been decided.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.structs import OffsetAndMetadata

from worker.kafka.broker_errors import ErrorKind, classify
from worker.kafka.outgoing import Outgoing
from worker.kafka.producer_errors import retrieve_errors

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer, TopicPartition
    from aiokafka.structs import RecordMetadata

__all__ = ["MessageFailedError", "TransactionalProducer"]

GRACE = 0.2
"""Seconds for aiokafka's start to end, and for its sending task after connections are closed."""

OVER = (IllegalOperation, AssertionError)
"""What aiokafka raises at calls that come after an error has ended the transaction. They are no
`KafkaError`."""

log = structlog.get_logger(__name__)


class MessageFailedError(Exception):
    """A message of a transaction was not acknowledged.

    Attributes:
        number: which one, from 0.
        error: the brokers' answer.
        alone: whether it was sent in a batch of its own, so that the error is its own.
    """

    def __init__(self, number: int, error: KafkaError, *, alone: bool) -> None:
        super().__init__(number, error)
        self.number = number
        self.error = error
        self.alone = alone


class TransactionalProducer:
    """Sends messages and an offset, all or none.

    Args:
        make: makes aiokafka's producer, not started.
        group: the consumer group whose offset is committed.
        is_isolated: whether messages of a topic are sent one by one.
    """

    def __init__(
        self, make: Callable[[], AIOKafkaProducer], group: str, is_isolated: Callable[[str], bool]
    ) -> None:
        self._producer = make()
        self._group = group
        self._is_isolated = is_isolated
        self._starting: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a broker."""
        connections = self._producer.client._conns.values()  # noqa: SLF001 - nothing else tells
        return any(connection.connected() for connection in connections)

    async def start(self) -> None:
        """Connect, and end what an earlier producer with this transactional id left open.

        That one is fenced: it can neither write nor commit any more.

        Raises:
            KafkaError: the brokers cannot be reached or refuse the client.
        """
        self._starting = asyncio.create_task(self._producer.start())
        # Cancelled while it connects, aiokafka would leave a connection open: `stop` sees to it.
        await asyncio.shield(self._starting)

    async def commit(
        self, messages: Sequence[Outgoing], partition: TopicPartition, offset: int
    ) -> None:
        """Write messages in their order and commit an offset, in one transaction.

        Raises:
            MessageFailedError: a message was not acknowledged. Nothing was committed.
            KafkaError: the transaction failed; whether it was committed is not known.
        """
        try:
            await self._producer.begin_transaction()
            await self._send(messages)
            offsets = {partition: OffsetAndMetadata(offset, "")}
            await self._producer.send_offsets_to_transaction(offsets, self._group)
            await self._producer.commit_transaction()
        except (KafkaError, MessageFailedError, *OVER) as error:
            fatal = self._fatal_error()
            if fatal is not None and fatal is not error:
                raise fatal  # noqa: B904 - it has a cause of its own
            if isinstance(error, OVER):
                raise KafkaError("the transaction was over before its end") from error
            raise

    async def probe(self, messages: Sequence[Outgoing]) -> None:
        """Write messages in a transaction that is then aborted, to see whether they are accepted.

        Raises:
            MessageFailedError: one was not acknowledged.
            KafkaError: the transaction failed.
        """
        try:
            await self._producer.begin_transaction()
            await self._send(messages)
            await self._producer.abort_transaction()
        except OVER as error:
            raise KafkaError("the transaction was over before its end") from error

    async def stop(self, timeout: float) -> None:
        """Disconnect at once; what was left open is ended by the successor.

        aiokafka's own `stop` would first send what is queued, for as long as brokers are down.

        Args:
            timeout: seconds after which the producer is left to itself.
        """
        retrieve_errors(self._producer)
        producer = self._producer
        producer._closed = True  # noqa: SLF001 - otherwise it warns that nobody has closed it
        try:
            async with asyncio.timeout(timeout):
                await self._end_start()
                sender = producer._sender.sender_task  # noqa: SLF001 - no other way
                if sender is not None:
                    sender.cancel()
                await producer.client.close()
                while sender is not None and not sender.done():
                    # It waits for its requests when it is cancelled, the second time no more.
                    sender.cancel()
                    await asyncio.wait([sender], timeout=GRACE)
        except (KafkaError, TimeoutError) as error:
            log.warning(
                "kafka_client_not_stopped", client="transactional producer", error=repr(error)
            )

    async def _end_start(self) -> None:
        """Let a start that is under way end, or give it up."""
        if (starting := self._starting) is None:
            return
        await asyncio.wait([starting], timeout=GRACE)
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled():
            starting.exception()  # told to who has started it, if anybody still waits

    def _fatal_error(self) -> KafkaError | None:
        """Get what ended aiokafka's sending task; what its messages say of that lacks the cause."""
        manager = self._producer._txn_manager  # noqa: SLF001 - nothing else tells
        ended = manager._transaction_waiter  # noqa: SLF001 - likewise
        if ended is None or not ended.done() or ended.cancelled():
            return None
        error: KafkaError | None = ended.exception()
        return error if manager.is_fatal_error() else None

    async def _send(self, messages: Sequence[Outgoing]) -> None:
        sent: list[asyncio.Future[RecordMetadata]] = []
        for number, outgoing in enumerate(messages):
            alone = self._is_isolated(outgoing.topic)
            if alone:
                # What was sent before must not share its batch.
                await _acknowledged(sent)
            try:
                future = await self._append(outgoing)
                if alone:
                    await future
            except KafkaError as error:
                # If an earlier one was refused, that is why aiokafka takes no more.
                await _acknowledged(sent)
                raise MessageFailedError(number, error, alone=alone) from error
            sent.append(future)
        await _acknowledged(sent)

    async def _append(self, outgoing: Outgoing) -> asyncio.Future[RecordMetadata]:
        message = outgoing.message
        value = message.value
        if value is None and message.key is None:
            # aiokafka refuses a record that has neither.
            value = b""
        try:
            future: asyncio.Future[RecordMetadata] = await self._producer.send(
                outgoing.topic, value, message.key, headers=list(message.headers)
            )
        except OVER as error:
            # Another message was refused, or the producer is fenced, while this one waited.
            raise KafkaError("the transaction is over") from error
        return future


async def _acknowledged(sent: Sequence[asyncio.Future[RecordMetadata]]) -> None:
    """Wait until all messages are acknowledged or refused.

    Raises:
        MessageFailedError: the first one that was refused; of several, the first with an error that
            does not pass: others may only be its consequences.
    """
    # All of them, even after a failure: asyncio reports errors that nobody has looked at.
    answers = await asyncio.gather(*sent, return_exceptions=True)
    refused: list[tuple[int, KafkaError]] = []
    for number, answer in enumerate(answers):
        if isinstance(answer, KafkaError):
            refused.append((number, answer))
        elif isinstance(answer, BaseException):
            raise answer
    causes = (each for each in refused if classify(each[1]) is not ErrorKind.RETRY)
    for number, error in itertools.chain(causes, refused):
        raise MessageFailedError(number, error, alone=False) from error
