"""Reads the dead-letter topic from one offset to another, and deletes its beginning."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import KafkaSetupError, SettingsError
from worker.kafka.client import make_admin, make_consumer, stop_bounded
from worker.kafka.diagnosis import find_cause
from worker.retry import Retry

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from worker.contract.records import Record
    from worker.kafka.consumer import Consumer
    from worker.settings import KafkaSettings

__all__ = ["LetterTopic"]

POLL_SECONDS = 0.5
MOST_RECORDS = 100
MOST_BYTES = 4 * 1024 * 1024
"""Records and bytes that are held at a time; a larger record comes alone."""

SOON = Retry(first=0.05, longest=0.5)
"""When brokers are asked again for a group's coordinator."""


class LetterTopic:
    """The topic `kafka.dead_letters_topic`; a context manager.

    It belongs to no group and commits nothing. Of transactions only what is committed is read.

    Args:
        clock: measures how long the brokers send nothing.

    Attributes:
        bounds: first offset and end of each partition, when it was opened.
    """

    def __init__(self, settings: KafkaSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._topic = settings.dead_letters_topic
        self._consumer: Consumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self.bounds: Mapping[int, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured, or there is no such topic.
        """
        try:
            await self._open()
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

    async def offsets_at(self, timestamp_ms: int) -> dict[int, int]:
        """Find the first letter of each partition that was written at some moment or later.

        Returns:
            Its offset, by partition; the end where there is none.

        Raises:
            KafkaSetupError: the brokers do not answer.
        """
        assert self._consumer is not None
        wanted = {TopicPartition(self._topic, number): timestamp_ms for number in self.bounds}
        try:
            found = await self._consumer.offsets_for_times(wanted)
        except KafkaError as error:
            raise await self._unusable(error) from error
        return {
            number: self.bounds[number][1] if (at := found.get(partition)) is None else at.offset
            for partition in wanted
            for number in (partition.partition,)
        }

    def check_partitions(self, numbers: Collection[int]) -> None:
        """Check that there are partitions of these numbers.

        Raises:
            SettingsError: there are not.
        """
        if unknown := sorted(set(numbers) - set(self.bounds)):
            count = len(self.bounds)
            have = "one partition, 0" if count == 1 else f"{count} partitions, 0 to {count - 1}"
            raise SettingsError(f"--partition {unknown[0]}: topic {self._topic} has {have}")

    async def read(self, ranges: Mapping[int, tuple[int, int]]) -> AsyncGenerator[Record]:
        """Read what lies in `ranges`, first offset and end by partition.

        Yields:
            The records, in the order of their offsets within each partition. An offset that is not
            yielded has none.

        Raises:
            KafkaSetupError: a partition cannot be read, or the brokers send nothing for
                `kafka.request_timeout`.
        """
        consumer = self._consumer
        assert consumer is not None
        ends = {
            TopicPartition(self._topic, number): end
            for number, (begin, end) in ranges.items()
            if begin < end
        }
        consumer.assign(list(ends))
        for partition in ends:
            consumer.seek(partition, ranges[partition.partition][0])
        positions: dict[TopicPartition, int] = {}
        moved = self._clock.monotonic()
        while ends:
            polled = await self._poll(list(ends))
            for partition, records in polled.items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield record
            before, positions = positions, {each: await consumer.position(each) for each in ends}
            for partition, position in positions.items():
                if position >= ends[partition]:
                    del ends[partition]
                    consumer.pause(partition)
            if polled or positions != before:
                moved = self._clock.monotonic()  # the time that the caller takes does not count
            elif ends:
                self._check(ends, self._clock.monotonic() - moved)

    async def _poll(self, partitions: list[TopicPartition]) -> dict[TopicPartition, list[Record]]:
        consumer = self._consumer
        assert consumer is not None
        try:
            return await consumer.getmany(
                *partitions,
                timeout_ms=round(POLL_SECONDS * 1000),
                max_records=MOST_RECORDS,
                max_bytes=MOST_BYTES,
            )
        except OffsetOutOfRangeError as error:
            # Retention or a purge has taken them away meanwhile.
            for partition, begin in (await consumer.beginning_offsets(error.args[0])).items():
                consumer.seek(partition, begin)
            return {}
        except KafkaError as error:
            raise await self._unusable(error) from error

    def _check(self, partitions: Collection[TopicPartition], waited: float) -> None:
        """Raise an error if a partition cannot be read, or nothing has come for too long."""
        assert self._consumer is not None
        for damage in self._consumer.damaged.values():
            raise KafkaSetupError(f"{damage}. Remedy: {damage.remedy}")
        if waited > self._settings.request_timeout:
            numbers = ", ".join(str(each.partition) for each in partitions)
            raise KafkaSetupError(
                f"partitions {numbers} of topic {self._topic}: the brokers have sent nothing for "
                f"{self._settings.request_timeout:g} s (kafka.request_timeout)"
            )

    async def committed(self, group: str) -> dict[int, tuple[int, str]]:
        """Read what a group has committed.

        Returns:
            Offset and metadata by partition; -1 and nothing where there is no offset.

        Raises:
            KafkaSetupError: the group may not be read.
        """
        assert self._admin is not None
        partitions = [TopicPartition(self._topic, number) for number in self.bounds]
        try:
            found = await self._offsets(group, partitions)
        except GroupAuthorizationFailedError as error:
            raise KafkaSetupError(
                f"this user may not use the group {group}, in which it is remembered what was "
                "replayed: grant READ and DESCRIBE on it, or name another --group"
            ) from error
        except KafkaError as error:
            raise await self._unusable(error) from error
        return {
            partition.partition: (offset, metadata or "")
            for partition, (offset, metadata) in found.items()
        }

    async def _offsets(
        self, group: str, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, str | None]]:
        assert self._admin is not None
        pauses = replace(SOON, patience=self._settings.request_timeout).pauses(self._clock)
        while True:
            try:
                # Tells of a refusal too; aiokafka overlooks it when it asks for the offsets.
                coordinator = await self._admin.find_coordinator(group)
                found: dict[TopicPartition, tuple[int, str | None]]
                found = await self._admin.list_consumer_group_offsets(
                    group, coordinator, partitions
                )
                if found.keys() < set(partitions):
                    # The coordinator is loading the group, or is another one by now, and has said
                    # so beside the offsets, where aiokafka does not look.
                    raise CoordinatorNotAvailableError  # noqa: TRY301 - handled as if it did
            except CoordinatorNotAvailableError:
                # Brokers that have never had a group make their topic of offsets first.
                if (pause := next(pauses, None)) is None:
                    raise
                await self._clock.sleep(pause)
            else:
                return found

    async def delete(self, before: Mapping[int, int]) -> dict[int, int]:
        """Delete all letters before an offset.

        Args:
            before: the first offset that stays, by partition.

        Returns:
            The first offset that is there now, by partition.

        Raises:
            KafkaSetupError: the brokers refuse it, or do not answer.
        """
        assert self._admin is not None
        wanted = {
            TopicPartition(self._topic, number): RecordsToDelete(offset)
            for number, offset in before.items()
        }
        try:
            deleted = await self._admin.delete_records(wanted)
        except TopicAuthorizationFailedError as error:
            raise KafkaSetupError(
                f"this user lacks the right to delete letters: grant DELETE on topic {self._topic}"
            ) from error
        except KafkaError as error:
            if getattr(error, "errno", 0) == 44:  # POLICY_VIOLATION
                raise KafkaSetupError(
                    f"the brokers refuse it: cleanup.policy of topic {self._topic} must contain "
                    "delete"
                ) from error
            raise await self._unusable(error) from error
        return {partition.partition: begin for partition, begin in deleted.items()}

    async def _open(self) -> None:
        self._admin = make_admin(self._settings)
        await self._admin.start()
        if self._topic not in await self._admin.list_topics():
            raise KafkaSetupError(
                f"there is no topic {self._topic} on {self._settings.bootstrap_servers}, or this "
                "user may not see it: name the dead-letter topic with --topic or "
                "kafka.dead_letters_topic, and grant READ and DESCRIBE on it"
            )
        self._consumer = consumer = make_consumer(
            self._settings,
            group_id=None,
            group_instance_id=None,
            isolation_level="read_committed",
        )
        await consumer.start()
        [topic] = await self._admin.describe_topics([self._topic])
        partitions = sorted(
            TopicPartition(self._topic, each["partition"]) for each in topic["partitions"]
        )
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        self.bounds = {each.partition: (begins[each], ends[each]) for each in partitions}

    async def _close(self) -> None:
        if self._consumer is not None:
            await stop_bounded(self._consumer, "consumer")
        if self._admin is not None:
            with contextlib.suppress(KafkaError):
                await self._admin.close()
        self._consumer = self._admin = None

    async def _unusable(self, error: KafkaError) -> KafkaSetupError:
        if isinstance(error, TopicAuthorizationFailedError):
            return KafkaSetupError(
                f"this user may not read topic {self._topic}: grant READ and DESCRIBE on it"
            )
        cause = await find_cause(self._settings)
        return KafkaSetupError(
            f"cannot use the Kafka brokers at {self._settings.bootstrap_servers} "
            f"({self._settings.security_protocol}): {cause or error}"
        )
