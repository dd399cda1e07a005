"""The door as a whole on the real broker: jobs through it, defects, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.unit.kafka.conftest import CreateTopic, Fill, Read
from worker.budget import Reservation
from worker.contract.jobs import Outcome, Success
from worker.contract.records import Message, Record
from worker.errors import Failure, KafkaSetupError, Reason, Stage
from worker.health import Health
from worker.kafka.publisher import Outgoing
from worker.kafka.refusals import Refused
from worker.kafka.service import KafkaService
from worker.metrics import Metrics
from worker.settings import KafkaSettings, Settings, ShutdownSettings

BOUND = 30.0
DONE = Success(())
FAILED = Failure(Reason.RESULT_REFUSED, "refused", Stage.PUBLISH)


class Door:
    """A door whose answers the test gives."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.metrics = Metrics()
        self.health = Health(BOUND, self.metrics)
        self.stop = asyncio.Event()
        self.taken: asyncio.Queue[int] = asyncio.Queue()
        self.noted: list[int] = []
        self.refused: list[tuple[int, str]] = []
        self.keyed: set[int] = set()
        self.fail_at: dict[int, Exception] = {}
        self.hold_at: dict[int, asyncio.Event] = {}
        settings = Settings(kafka=kafka, shutdown=ShutdownSettings(deadline=10.0))
        self.door = KafkaService(settings, self, self.health, self.metrics)

    async def start(self) -> asyncio.Task[None]:
        await self.door.connect()
        return asyncio.create_task(self.door.run(self.stop))

    async def take(self, count: int) -> None:
        async with asyncio.timeout(BOUND):
            for _ in range(count):
                await self.taken.get()

    async def drains(self) -> None:
        """Wait until nothing is taken in any more."""
        async with asyncio.timeout(BOUND):
            while self.door._assignment.accepting:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)

    async def committed(self) -> int | None:
        async with AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers, group_id=self.kafka.group_id
        ) as consumer:
            partition = TopicPartition(self.kafka.jobs_topic, 0)
            consumer.assign([partition])
            offset: int | None = await consumer.committed(partition)
            return offset

    async def is_committed(self, offset: int) -> None:
        """Wait until the broker knows this offset as committed."""
        async with asyncio.timeout(BOUND):
            while await self.committed() != offset:  # noqa: ASYNC110 - by asking it
                await asyncio.sleep(0.05)

    async def answer(self, record: Record, held: Reservation) -> tuple[Outcome, Sequence[Outgoing]]:
        self.taken.put_nowait(record.offset)
        if (hold := self.hold_at.get(record.offset)) is not None:
            await hold.wait()
        if (error := self.fail_at.get(record.offset)) is not None:
            raise error
        key = b"key" if record.offset in self.keyed else None
        message = Message(key, b"answer %d" % record.offset, ())
        return DONE, [Outgoing(self.kafka.results_topic, message)]

    def refuse(self, record: Record, refused: Refused) -> tuple[Outcome, Sequence[Outgoing]]:
        self.refused.append((record.offset, refused.name))
        letter = Message(None, b"letter %d" % record.offset, ())
        return FAILED, [Outgoing(self.kafka.dead_letters_topic, letter)]

    def delivered(self, record: Record, outcome: Outcome, refused: Sequence[Refused]) -> None:
        assert (outcome is FAILED) == (record.offset in dict(self.refused))
        self.noted.append(record.offset)

    def set_aside(self, topic: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "classify_set_aside_messages_total", {"topic": topic}
        )


@pytest.fixture
async def door(kafka: KafkaSettings, create_topic: CreateTopic) -> Door:
    for topic in (kafka.jobs_topic, kafka.results_topic, kafka.dead_letters_topic):
        await create_topic(topic)
    return Door(kafka)


Compact = Callable[[str], Awaitable[None]]


@pytest.fixture
def compact(admin: AIOKafkaAdminClient) -> Compact:
    """Has a topic compacted from now on: it takes no record without a key any more."""

    async def alter(topic: str) -> None:
        configs = {"cleanup.policy": "compact"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
        # The controller has it at once, the broker a moment later.
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        async with asyncio.timeout(BOUND):
            while "compact" not in str(await admin.describe_configs(asked)):  # noqa: ASYNC110 - so
                await asyncio.sleep(0.01)

    return alter


async def ends(running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(BOUND):
        await running


async def test_jobs_are_answered_committed_and_noted(door: Door, fill: Fill, read: Read) -> None:
    await fill(door.kafka.jobs_topic, 3)
    running = await door.start()
    results = await read(door.kafka.results_topic, 3)
    door.stop.set()
    await ends(running)
    assert {result.value for result in results} == {b"answer 0", b"answer 1", b"answer 2"}
    assert sorted(door.noted) == [0, 1, 2]
    assert await door.committed() == 3
    count = door.metrics.registry.get_sample_value(
        "classify_stage_duration_seconds_count", {"stage": "publish"}
    )
    assert count == 3


async def test_a_stop_drains_what_runs(door: Door, fill: Fill, read: Read) -> None:
    await fill(door.kafka.jobs_topic, 2)
    door.hold_at[0] = asyncio.Event()
    running = await door.start()
    await door.take(2)
    door.stop.set()
    await door.drains()
    assert not running.done()
    door.hold_at[0].set()
    await ends(running)
    assert await door.committed() == 2
    await read(door.kafka.results_topic, 2)


async def test_a_defect_ends_the_door_and_its_job_is_delivered_again(
    door: Door, fill: Fill
) -> None:
    await fill(door.kafka.jobs_topic, 3)
    door.fail_at[1] = ZeroDivisionError("a defect")
    running = await door.start()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        await ends(running)
    assert await door.committed() in (None, 0, 1)


async def test_a_defect_while_draining_is_no_good_end(door: Door, fill: Fill) -> None:
    await fill(door.kafka.jobs_topic, 1)
    door.hold_at[0] = asyncio.Event()
    door.fail_at[0] = ZeroDivisionError("late")
    running = await door.start()
    await door.take(1)
    door.stop.set()
    await door.drains()
    door.hold_at[0].set()
    with pytest.raises(ZeroDivisionError, match="late"):
        await ends(running)


async def test_a_stop_does_not_wait_for_the_group(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    joining = asyncio.Event()

    async def never(self: AIOKafkaConsumer) -> None:
        joining.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(AIOKafkaConsumer, "start", never)
    running = await door.start()
    await asyncio.wait_for(joining.wait(), BOUND)
    door.stop.set()
    await ends(running)
    await door.door.disconnect()


async def test_an_unforeseen_error_while_joining_is_no_good_end(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: AIOKafkaConsumer) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(AIOKafkaConsumer, "start", fail)
    running = await door.start()
    with pytest.raises(ZeroDivisionError):
        await ends(running)
    await door.door.disconnect()


async def test_a_result_that_its_topic_never_takes_is_told_of_by_a_dead_letter(
    door: Door, fill: Fill, read: Read, compact: Compact
) -> None:
    running = await door.start()
    results, letters = door.kafka.results_topic, door.kafka.dead_letters_topic
    assert door.set_aside(results) == door.set_aside(letters) == 0, "there before they are needed"
    await compact(results)
    await fill(door.kafka.jobs_topic, 3)
    told = {letter.value for letter in await read(letters, 3)}
    door.stop.set()
    await ends(running)
    assert told == {b"letter 0", b"letter 1", b"letter 2"}
    assert sorted(door.refused) == [(offset, "INVALID_RECORD") for offset in range(3)]
    assert door.set_aside(results) == 3
    assert door.set_aside(letters) == 0
    assert sorted(door.noted) == [0, 1, 2]
    assert await door.committed() == 3


async def test_what_no_topic_takes_is_set_aside_and_holds_nothing_up(
    door: Door, fill: Fill, read: Read, compact: Compact
) -> None:
    running = await door.start()
    results, letters = door.kafka.results_topic, door.kafka.dead_letters_topic
    await compact(results)
    await compact(letters)
    door.keyed = {1}
    with structlog.testing.capture_logs() as logs:
        await fill(door.kafka.jobs_topic, 3)
        assert [result.value for result in await read(results, 1)] == [b"answer 1"]
        await door.is_committed(3)
    door.stop.set()
    await ends(running)
    assert door.set_aside(results) == door.set_aside(letters) == 2
    told = [entry for entry in logs if entry["event"] == "message_set_aside"]
    assert {(each["topic"], each["record"], each["code"]) for each in told} == {
        (topic, f"{door.kafka.jobs_topic}-0-{offset}", 87)
        for topic in (results, letters)
        for offset in (0, 2)
    }
    assert sorted(door.noted) == [0, 1, 2]


async def test_compacted_results_or_dead_letters_are_refused_at_start(
    door: Door, compact: Compact
) -> None:
    await compact(door.kafka.dead_letters_topic)
    with pytest.raises(KafkaSetupError, match=door.kafka.dead_letters_topic) as raised:
        await door.start()
    assert "cleanup.policy=delete" in str(raised.value)
    assert door.kafka.results_topic not in str(raised.value)
