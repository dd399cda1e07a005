"""Puts records back on their topics, and commits what was replayed in the same transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.structs import OffsetAndMetadata

from worker.errors import KafkaSetupError
from worker.kafka.broker_errors import ErrorKind, classify, name_of
from worker.kafka.client import connection_options, make_producer, stop_bounded
from worker.kafka.destinations import cannot_use
from worker.kafka.producer_errors import retrieve_errors

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from worker.contract.records import Message
    from worker.settings import KafkaSettings, PublishSettings

__all__ = ["RefusedError", "ReplayClient", "Restored"]

MAX_REQUEST = 1 << 30
"""Most bytes of a request here: a record that came through once is judged by the topic alone."""


class RefusedError(Exception):
    """A topic accepts one of the records in no form; the message is the error's name."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A record to put back.

    Attributes:
        partition: where; None leaves it to the key.
    """

    topic: str
    partition: int | None
    message: Message


class ReplayClient:
    """A producer whose transactional id is the group's name; a context manager.

    Brokers allow one producer of an id at a time. So a second replay of the same group stops the
    first, and what a killed one left open is undone before the next one begins.

    Args:
        group: the group that remembers what was replayed.
        transactional: without transactions records are put back first and what was replayed is
            committed afterwards. One replay at a time is then the users' own care.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        publish: PublishSettings,
        group: str,
        *,
        transactional: bool = True,
    ) -> None:
        self._settings = settings
        self._publish = publish
        self._group = group
        self._transactional = transactional
        self._producer: AIOKafkaProducer | None = None
        self._committer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        """Connect, and end what an earlier replay of the group left open.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured, or the user lacks a right.
        """
        try:
            await self._start_producer()
            if not self._transactional:
                self._committer = AIOKafkaConsumer(
                    **connection_options(self._settings),
                    group_id=self._group,
                    enable_auto_commit=False,
                )
                await self._committer.start()
        except KafkaError as error:
            await self._close()
            raise await self._unusable(error) from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def put_back(
        self, records: Sequence[Restored], positions: Mapping[int, tuple[int, str]]
    ) -> None:
        """Put records back and commit positions: both or, if it fails, neither.

        Without transactions, `records` should be one at a time: a crash in between leaves those
        that were put back unremembered.

        Args:
            positions: offset and metadata by partition of the dead-letter topic.

        Raises:
            RefusedError: a topic refuses one of the records for good.
            KafkaSetupError: the brokers cannot be used any longer, or another replay took over.
        """
        try:
            if self._transactional:
                await self._transact(records, positions)
            else:
                await self._send(records)
                await self._commit(positions)
        except KafkaError as error:
            if classify(error) in (ErrorKind.TOO_LARGE, ErrorKind.FINAL):
                await self._restart_producer()
                raise RefusedError(name_of(error)) from error
            raise await self._unusable(error) from error

    async def _transact(
        self, records: Sequence[Restored], positions: Mapping[int, tuple[int, str]]
    ) -> None:
        producer = self._producer
        assert producer is not None
        await producer.begin_transaction()
        try:
            await self._send(records)
            await producer.send_offsets_to_transaction(self._offsets(positions), self._group)
        except BaseException as error:
            ended = retrieve_errors(producer)
            # Some errors leave nothing to abort: then the next producer of this id aborts it.
            with contextlib.suppress(KafkaError, AssertionError):
                await producer.abort_transaction()
            retrieve_errors(producer)
            if ended is not None and isinstance(error, IllegalOperation | AssertionError):
                # It only says that the transaction was over, not why.
                raise ended from error
            raise
        await producer.commit_transaction()

    async def _send(self, records: Sequence[Restored]) -> None:
        assert self._producer is not None
        sent = [
            await self._producer.send(
                record.topic,
                record.message.value,
                record.message.key,
                partition=record.partition,
                headers=list(record.message.headers),
            )
            for record in records
        ]
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _commit(self, positions: Mapping[int, tuple[int, str]]) -> None:
        assert self._committer is not None
        offsets = self._offsets(positions)
        self._committer.assign(list(offsets))
        await self._committer.commit(offsets)

    def _offsets(
        self, positions: Mapping[int, tuple[int, str]]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        topic = self._settings.dead_letters_topic
        return {
            TopicPartition(topic, number): OffsetAndMetadata(*position)
            for number, position in positions.items()
        }

    async def _start_producer(self) -> None:
        options: dict[str, object] = {"max_request_size": MAX_REQUEST}
        if self._transactional:
            options["transactional_id"] = self._group
        else:
            # A refusal would leave a gap in an idempotent producer's numbers.
            options |= {"enable_idempotence": False, "max_batch_size": 1}
        self._producer = make_producer(self._settings, self._publish, **options)
        await self._producer.start()

    async def _restart_producer(self) -> None:
        if self._producer is not None:
            await stop_bounded(self._producer, "producer")
        try:
            await self._start_producer()
        except KafkaError as error:
            raise await self._unusable(error) from error

    async def _close(self) -> None:
        clients = {"producer": self._producer, "committer": self._committer}
        await asyncio.gather(
            *(stop_bounded(client, name) for name, client in clients.items() if client is not None)
        )
        self._producer = self._committer = None

    async def _unusable(self, error: KafkaError) -> KafkaSetupError:
        match error:
            case ProducerFenced():
                why = (
                    f"another replay with the group {self._group} has begun and stopped this one; "
                    "what this one had put back is remembered"
                )
            case TransactionalIdAuthorizationFailed():
                why = (
                    f"this user may not use the transactional id {self._group}: grant WRITE and "
                    "DESCRIBE on it, or say --no-transaction, with which a crash at the wrong "
                    "moment can put one record back twice"
                )
            case GroupAuthorizationFailedError():
                why = (
                    f"this user may not commit for the group {self._group}: grant READ and "
                    "DESCRIBE on it, or name another --group"
                )
            case TopicAuthorizationFailedError():
                topics = ", ".join(map(str, error.args)) or "the records' topic"
                why = f"this user may not write to {topics}: grant WRITE and DESCRIBE on it"
            case ClusterAuthorizationFailedError():
                why = "this user may not write idempotently: grant IDEMPOTENT_WRITE on the cluster"
            case _:
                return await cannot_use(self._settings, error)
        return KafkaSetupError(why)
