"""The Kafka service as a whole on the real broker: jobs through it, defects, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.support.topics import CreateTopic, Fill, Read
from worker.budget import Reservation
from worker.contract.jobs import Category, Job, ModelIdentity, Outcome, Success
from worker.contract.results import read_result
from worker.errors import Failure, KafkaSetupError, Reason, Stage
from worker.health import Health
from worker.kafka.record_processor import RecordProcessor
from worker.kafka.retry_topics import RetryTopics
from worker.kafka.service import KafkaService
from worker.metrics import Metrics
from worker.settings import KafkaSettings, RetrySettings, Settings, ShutdownSettings

BOUND = 30.0
MODEL = ModelIdentity("model", "sha256:0", "paddle")


class Service:
    """The service with jobs that do what the test says."""

    def __init__(self, kafka: KafkaSettings, retry: RetrySettings | None = None) -> None:
        self.kafka = kafka
        self.metrics = Metrics()
        self.metrics.expect_kafka(kafka.results_topic, kafka.dead_letters_topic)  # as the app does
        self.health = Health(BOUND, self.metrics)
        self.stop = asyncio.Event()
        self.taken: asyncio.Queue[int] = asyncio.Queue()
        self.fail_at: dict[int, Exception] = {}
        self.hold_at: dict[int, asyncio.Event] = {}
        self.failing: dict[int, Failure] = {}
        settings = Settings(
            kafka=kafka,
            shutdown=ShutdownSettings(deadline=10.0),
            retry=retry or RetrySettings(),
        )
        processor = RecordProcessor(
            lambda: MODEL,
            self.run_job,
            kafka,
            self.metrics,
            retries=RetryTopics(settings.retry_topics),
        )
        self.service = KafkaService(settings, processor, self.health, self.metrics)

    async def start(self) -> asyncio.Task[None]:
        await self.service.connect()
        return asyncio.create_task(self.service.run(self.stop))

    async def take(self, count: int) -> None:
        async with asyncio.timeout(BOUND):
            for _ in range(count):
                await self.taken.get()

    async def drains(self) -> None:
        """Wait until nothing is taken in any more."""
        async with asyncio.timeout(BOUND):
            while self.service._assignment.accepting:  # noqa: ASYNC110 - it has no event
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

    async def run_job(self, job: Job, held: Reservation) -> Outcome:
        """Name the only category as the job's record is numbered."""
        offset = int(job.job_id or "")
        self.taken.put_nowait(offset)
        if (hold := self.hold_at.get(offset)) is not None:
            await hold.wait()
        if (error := self.fail_at.get(offset)) is not None:
            raise error
        if offset in self.failing:
            return self.failing[offset]
        return Success((Category(0, f"answer {offset}", 0.5),))

    def ended(self, outcome: str, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "classify_jobs_total", {"outcome": outcome, "reason": reason}
        )

    def set_aside(self, topic: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "classify_set_aside_messages_total", {"topic": topic}
        )


@pytest.fixture
async def service(kafka: KafkaSettings, create_topic: CreateTopic) -> Service:
    for topic in (kafka.jobs_topic, kafka.results_topic, kafka.dead_letters_topic):
        await create_topic(topic)
    return Service(kafka)


Submit = Callable[..., Awaitable[None]]


@pytest.fixture
def submit(service: Service, fill: Fill) -> Submit:
    """Writes so many jobs, named by their numbers; those in `keyed` have a key."""

    async def write(count: int, keyed: Collection[int] = ()) -> None:
        await fill(
            service.kafka.jobs_topic,
            count,
            value=lambda number: b'{"image": "QUJD", "jobId": "%d"}' % number,
            key=lambda number: b"key" if number in keyed else None,
        )

    return write


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


def names(results: Sequence[ConsumerRecord]) -> list[str]:
    return sorted(read_result(result.value).categories[0].name for result in results)


async def test_jobs_are_answered_committed_and_counted(
    service: Service, submit: Submit, read: Read
) -> None:
    await submit(3)
    running = await service.start()
    results = await read(service.kafka.results_topic, 3)
    service.stop.set()
    await ends(running)
    assert names(results) == ["answer 0", "answer 1", "answer 2"]
    assert service.ended("success", "ok") == 3
    assert await service.committed() == 3
    count = service.metrics.registry.get_sample_value(
        "classify_stage_duration_seconds_count", {"stage": "publish"}
    )
    assert count == 3


async def test_a_stop_drains_what_runs(service: Service, submit: Submit, read: Read) -> None:
    await submit(2)
    service.hold_at[0] = asyncio.Event()
    running = await service.start()
    await service.take(2)
    service.stop.set()
    await service.drains()
    assert not running.done()
    service.hold_at[0].set()
    await ends(running)
    assert await service.committed() == 2
    await read(service.kafka.results_topic, 2)


async def test_a_defect_ends_the_service_and_its_job_is_delivered_again(
    service: Service, submit: Submit
) -> None:
    await submit(3)
    service.fail_at[1] = ZeroDivisionError("a defect")
    running = await service.start()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        await ends(running)
    assert await service.committed() in (None, 0, 1)


async def test_a_defect_while_draining_is_no_good_end(service: Service, submit: Submit) -> None:
    await submit(1)
    service.hold_at[0] = asyncio.Event()
    service.fail_at[0] = ZeroDivisionError("late")
    running = await service.start()
    await service.take(1)
    service.stop.set()
    await service.drains()
    service.hold_at[0].set()
    with pytest.raises(ZeroDivisionError, match="late"):
        await ends(running)


async def test_a_stop_does_not_wait_for_the_group(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    joining = asyncio.Event()

    async def never(self: AIOKafkaConsumer) -> None:
        joining.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(AIOKafkaConsumer, "start", never)
    running = await service.start()
    await asyncio.wait_for(joining.wait(), BOUND)
    service.stop.set()
    await ends(running)
    await service.service.disconnect()


async def test_an_unforeseen_error_while_joining_is_no_good_end(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: AIOKafkaConsumer) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(AIOKafkaConsumer, "start", fail)
    running = await service.start()
    with pytest.raises(ZeroDivisionError):
        await ends(running)
    await service.service.disconnect()


async def test_a_result_that_its_topic_never_takes_is_told_of_by_a_dead_letter(
    service: Service, submit: Submit, read: Read, compact: Compact
) -> None:
    running = await service.start()
    results, letters = service.kafka.results_topic, service.kafka.dead_letters_topic
    assert service.set_aside(results) == service.set_aside(letters) == 0, (
        "there before they are needed"
    )
    await compact(results)
    await submit(3)
    told = [dict(letter.headers) for letter in await read(letters, 3)]
    service.stop.set()
    await ends(running)
    assert sorted(each["dead-letter-job-id"] for each in told) == [b"0", b"1", b"2"]
    assert {each["dead-letter-reason"] for each in told} == {b"result_refused"}
    assert all(b"INVALID_RECORD" in each["dead-letter-message"] for each in told)
    assert service.set_aside(results) == 3
    assert service.set_aside(letters) == 0
    assert service.ended("failure", "result_refused") == 3
    assert await service.committed() == 3


async def test_what_no_topic_takes_is_set_aside_and_holds_nothing_up(
    service: Service, submit: Submit, read: Read, compact: Compact
) -> None:
    running = await service.start()
    results, letters = service.kafka.results_topic, service.kafka.dead_letters_topic
    await compact(results)
    await compact(letters)
    with structlog.testing.capture_logs() as logs:
        await submit(3, keyed={1})
        assert names(await read(results, 1)) == ["answer 1"]
        await service.is_committed(3)
    service.stop.set()
    await ends(running)
    assert service.set_aside(results) == service.set_aside(letters) == 2
    told = [entry for entry in logs if entry["event"] == "message_set_aside"]
    assert {(each["topic"], each["record"], each["code"]) for each in told} == {
        (topic, f"{service.kafka.jobs_topic}-0-{offset}", 87)
        for topic in (results, letters)
        for offset in (0, 2)
    }
    assert service.ended("success", "ok") == 1
    assert service.ended("failure", "result_refused") == 2


async def test_compacted_results_or_dead_letters_are_refused_at_start(
    service: Service, compact: Compact
) -> None:
    await compact(service.kafka.dead_letters_topic)
    with pytest.raises(KafkaSetupError, match=service.kafka.dead_letters_topic) as raised:
        await service.start()
    assert "cleanup.policy=delete" in str(raised.value)
    assert service.kafka.results_topic not in str(raised.value)


async def test_a_retry_that_is_too_large_for_its_topic_is_answered_at_once(
    kafka: KafkaSettings, create_topic: CreateTopic, fill: Fill, read: Read
) -> None:
    retry = RetrySettings(delays=(86_400.0,))
    (later,) = retry.topics(kafka.jobs_topic)
    for topic in (kafka.jobs_topic, kafka.results_topic, kafka.dead_letters_topic):
        await create_topic(topic)
    await create_topic(later, max_message_bytes="2000")
    service = Service(kafka, retry)
    service.failing = {
        number: Failure(Reason.FETCH_FAILED, "down", Stage.FETCH, transient=True)
        for number in range(2)
    }
    service.metrics.expect_retries(["1d"])
    running = await service.start()
    # The second one is small enough, and waits until tomorrow.
    await fill(
        kafka.jobs_topic,
        3,
        value=lambda number: (
            b'{"image": "%s", "jobId": "%d"}' % (b"QUJD" * (1 if number else 1000), number)
        ),
    )
    await service.is_committed(3)
    assert service.ended("failure", "fetch_failed") == 1
    answers = [read_result(each.value) for each in await read(kafka.results_topic, 2)]
    assert sorted(answer.code for answer in answers) == [0, 502]
    (letter,) = await read(kafka.dead_letters_topic, 1)
    assert len(letter.value) > 2000
    (waiting,) = await read(later, 1)
    assert b'"jobId": "1"' in waiting.value
    service.stop.set()
    await running
