"""Transactions on the real broker: refusals, fences, retries, errors at start, first offsets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import CreateAclsRequest
from aiokafka.protocol.group import LeaveGroupRequest

from demo.broker import KafkaBroker
from tests.support.topics import CreateTopic, Fill
from worker.budget import Reservation
from worker.contract.jobs import Category, Job, ModelIdentity, Outcome, Success
from worker.contract.results import read_result
from worker.doctor.findings import Status
from worker.doctor.kafka import look_at_kafka
from worker.errors import Failure, KafkaSetupError, Reason, Stage
from worker.health import Health
from worker.kafka.duplicates import make_duplicates
from worker.kafka.exactly_once import ExactlyOnce
from worker.kafka.record_processor import RecordProcessor
from worker.kafka.retry_topics import RetryTopics
from worker.kafka.service import KafkaService
from worker.metrics import Metrics
from worker.settings import (
    KafkaSettings,
    Settings,
    ShutdownSettings,
    TransactionSettings,
)

Alter = Callable[[str, str, str], Awaitable[None]]

BOUND = 60.0
MODEL = ModelIdentity("model", "sha256:0", "paddle")
DOWN = Failure(Reason.FETCH_FAILED, "HTTP 503", Stage.FETCH, transient=True)


class Exactly:
    """The service with delivery: exactly_once; a job's answer has as many bytes as it asks for."""

    def __init__(self, kafka: KafkaSettings, heartbeat: object = 0.1, **settings: object) -> None:
        # With the default fences and aborts are over sooner.
        self.kafka = kafka.model_copy(update={"heartbeat_interval": heartbeat})
        self.settings = Settings.model_validate(
            {
                "delivery": "exactly_once",
                "kafka": self.kafka,
                "shutdown": ShutdownSettings(deadline=10.0),
                "transactions": TransactionSettings(commit_interval=0.02),
                **settings,
            }
        )
        self.metrics = Metrics()
        self.stop = asyncio.Event()
        self.sizes: dict[int, int] = {}
        self.hold_at: dict[int, asyncio.Event] = {}
        self.fails: Counter[int] = Counter()
        self.asked: Counter[int] = Counter()
        processor = RecordProcessor(
            lambda: MODEL,
            self.run_job,
            self.kafka,
            self.metrics,
            retries=RetryTopics(self.settings.retry_topics),
            duplicates=make_duplicates(self.settings.duplicates),
        )
        self.service = KafkaService(
            self.settings, processor, Health(BOUND, self.metrics), self.metrics
        )

    async def __aenter__(self) -> Self:
        await self.service.connect()
        self.running = asyncio.create_task(self.service.run(self.stop))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stop.set()
        async with asyncio.timeout(BOUND):
            await self.running

    async def run_job(self, job: Job, held: Reservation) -> Outcome:
        offset = int(job.job_id or "")
        self.asked[offset] += 1
        if (hold := self.hold_at.get(offset)) is not None:
            await hold.wait()
        if self.asked[offset] <= self.fails[offset]:
            return DOWN
        return Success((Category(0, f"{offset} ".ljust(self.sizes.get(offset, 1), "x"), 0.5),))

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def reach(self, count: float, name: str, **labels: str) -> None:
        async with asyncio.timeout(BOUND):
            while self.value(name, **labels) < count:
                assert not self.running.done(), self.running.exception()
                await asyncio.sleep(0.02)

    async def committed(self, offset: int) -> None:
        """Wait until the group's offset is this one."""
        partition = TopicPartition(self.kafka.jobs_topic, 0)
        async with AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers, group_id=self.kafka.group_id
        ) as consumer:
            consumer.assign([partition])
            async with asyncio.timeout(BOUND):
                while await consumer.committed(partition) != offset:
                    assert not self.running.done(), self.running.exception()
                    await asyncio.sleep(0.02)

    async def read(self, topic: str) -> Sequence[ConsumerRecord]:
        """All committed records of a topic."""
        partition = TopicPartition(topic, 0)
        records: list[ConsumerRecord] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        ) as consumer:
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            async with asyncio.timeout(BOUND):
                while await consumer.position(partition) < end:
                    polled = await consumer.getmany(partition, timeout_ms=200)
                    records += polled.get(partition, [])
        return records

    async def results(self) -> list[int]:
        """The jobs that the committed results are about, in order; -1 for a failure."""
        found = []
        for record in await self.read(self.kafka.results_topic):
            result = read_result(record.value)
            found.append(int(result.categories[0].name.split()[0]) if result.categories else -1)
        return found


@pytest.fixture
async def topics(kafka: KafkaSettings, create_topic: CreateTopic) -> KafkaSettings:
    """Settings whose topics exist, but for the results' one."""
    await create_topic(kafka.jobs_topic)
    await create_topic(kafka.dead_letters_topic)
    return kafka


@pytest.fixture
def alter(admin: AIOKafkaAdminClient) -> Alter:
    """Changes one setting of a topic, and returns once its broker knows."""

    async def change(topic: str, name: str, value: str) -> None:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})])
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        async with asyncio.timeout(BOUND):
            while value not in str(await admin.describe_configs(asked)):  # noqa: ASYNC110 - by asking
                await asyncio.sleep(0.01)

    return change


async def submit(fill: Fill, kafka: KafkaSettings, count: int) -> None:
    await fill(
        kafka.jobs_topic, count, value=lambda number: b'{"image": "QUJD", "jobId": "%d"}' % number
    )


async def test_a_result_that_is_known_to_be_too_large_never_enters_a_transaction(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(topics.results_topic, max_message_bytes="20000")
    await submit(fill, topics, 3)
    exactly = Exactly(topics)
    exactly.sizes[1] = 50_000
    async with exactly:
        await exactly.committed(3)
        assert await exactly.results() == [0, -1, 2]
        (letter,) = await exactly.read(topics.dead_letters_topic)
        assert dict(letter.headers)["dead-letter-job-id"] == b"1"
        assert exactly.value("classify_transactions_total", outcome="aborted") == 0


async def test_a_limit_that_was_lowered_costs_aborts_and_only_the_large_one_its_result(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill, alter: Alter
) -> None:
    await create_topic(topics.results_topic)
    exactly = Exactly(topics)
    exactly.sizes[3] = 50_000
    async with exactly:
        await alter(topics.results_topic, "max.message.bytes", "20017")
        await submit(fill, topics, 6)
        await exactly.committed(6)
        assert await exactly.results() == [0, 1, 2, -1, 4, 5]
        assert exactly.value("classify_transactions_total", outcome="aborted") >= 1


async def test_a_result_that_its_topic_never_takes_is_told_of_by_a_dead_letter(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill, alter: Alter
) -> None:
    await create_topic(topics.results_topic)
    exactly = Exactly(topics)
    async with exactly:
        # It takes no message without a key any more.
        await alter(topics.results_topic, "cleanup.policy", "compact")
        await submit(fill, topics, 4)
        await exactly.committed(4)
        assert await exactly.results() == []
        letters = await exactly.read(topics.dead_letters_topic)
        ids = [dict(letter.headers)["dead-letter-job-id"] for letter in letters]
        assert ids == [b"0", b"1", b"2", b"3"]
        labels = {"topic": topics.results_topic}
        assert exactly.value("classify_set_aside_messages_total", **labels) == 4


async def test_a_fenced_producer_gives_its_partition_up_and_gets_it_back(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(topics.results_topic)
    await submit(fill, topics, 2)
    exactly = Exactly(topics)
    exactly.hold_at[1] = asyncio.Event()
    async with exactly:
        await exactly.committed(1)
        name = f"{topics.group_id}-{topics.jobs_topic}-0"
        async with AIOKafkaProducer(
            bootstrap_servers=topics.bootstrap_servers, transactional_id=name
        ):
            pass  # as another owner of the partition starts
        exactly.hold_at[1].set()
        await exactly.committed(2)
        assert exactly.value("classify_transactions_total", outcome="fenced") == 1
        assert exactly.value("classify_abandoned_jobs_total") == 1
        assert await exactly.results() == [0, 1]


async def test_a_worker_that_was_cut_off_does_not_fence_the_new_owner(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(*_: object) -> None:
        raise KafkaConnectionError("the connection was reset")

    await create_topic(topics.results_topic)
    await submit(fill, topics, 2)
    # It does not hear of the group by itself so soon.
    cut_off, owner = Exactly(topics, heartbeat=3.0), Exactly(topics)
    cut_off.hold_at[0] = asyncio.Event()
    async with cut_off:
        await cut_off.reach(2, "classify_jobs_in_flight")
        await cut_off.committed(0)
        # As if its session had ended: the group goes on without it.
        delivery = cut_off.service._delivery
        assert isinstance(delivery, ExactlyOnce)
        assert delivery._shared is not None
        (transactions,) = delivery._loops.values()
        monkeypatch.setattr(transactions._producer.current, "commit", cut)
        coordinator = delivery._shared.consumer._coordinator
        left = LeaveGroupRequest(topics.group_id, coordinator.member_id)
        assert (await coordinator._send_req(left)).error_code == 0
        async with owner:
            await owner.committed(2)
            cut_off.hold_at[0].set()
            await cut_off.reach(2, "classify_abandoned_jobs_total")
            await submit(fill, topics, 2)
            await owner.committed(4)
        await cut_off.committed(4)
    assert await owner.results() == [0, 1, 0, 1]
    assert owner.value("classify_transactions_total", outcome="fenced") == 0


async def test_a_job_that_is_tried_again_later_is_answered_once_around_an_abort(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill, alter: Alter
) -> None:
    await create_topic(topics.results_topic)
    later = await create_topic(f"{topics.jobs_topic}-retry-100ms")
    exactly = Exactly(topics, retry={"delays": "100ms"})
    exactly.fails[1] = 1
    exactly.sizes[2] = 50_000
    async with exactly:
        # Jobs 1 and 2 are in one transaction, which is aborted first. The first
        # job waits with them: in a poll of its own it would be answered alone.
        hold = exactly.hold_at[0] = exactly.hold_at[1] = asyncio.Event()
        await alter(topics.results_topic, "max.message.bytes", "20017")
        await submit(fill, topics, 4)
        await exactly.reach(4, "classify_jobs_in_flight")
        hold.set()
        await exactly.reach(3, "classify_jobs_total", outcome="success", reason="ok")
        await exactly.committed(4)
        assert sorted(await exactly.results()) == [-1, 0, 1, 3]
        assert exactly.asked == {0: 1, 1: 2, 2: 1, 3: 1}
        assert len(await exactly.read(later)) == 1
        assert len(await exactly.read(topics.dead_letters_topic)) == 1
        assert exactly.value("classify_transactions_total", outcome="aborted") >= 1


ORDERED = [{}, {"delivery": "at_least_once", "results": {"ordered": True}}]


@pytest.mark.parametrize("settings", ORDERED, ids=["exactly once", "in order"])
async def test_a_job_that_was_sent_twice_is_answered_once_in_its_place(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill, settings: dict[str, object]
) -> None:
    await create_topic(topics.results_topic)
    await fill(
        topics.jobs_topic,
        6,
        value=lambda number: b'{"image": "QUJD", "jobId": "%d"}' % (number % 3),
    )
    exactly = Exactly(topics, duplicates={"window": "1h"}, **settings)
    exactly.hold_at[0] = asyncio.Event()
    async with exactly:
        await exactly.reach(6, "classify_jobs_in_flight")
        exactly.hold_at[0].set()
        await exactly.committed(6)
        assert await exactly.results() == [0, 1, 2]
        assert exactly.asked == {0: 1, 1: 1, 2: 1}
        assert exactly.value("classify_duplicate_jobs_total") == 3


async def test_markers_of_the_jobs_own_transactions_are_committed_too(
    topics: KafkaSettings, create_topic: CreateTopic
) -> None:
    await create_topic(topics.results_topic)
    async with Exactly(topics) as exactly:
        await exactly.committed(0)
        async with (
            AIOKafkaProducer(
                bootstrap_servers=topics.bootstrap_servers, transactional_id=topics.jobs_topic
            ) as producer,
            producer.transaction(),
        ):
            await producer.send(topics.jobs_topic, b'{"image": "QUJD", "jobId": "0"}')
        await exactly.committed(2)
        assert await exactly.results() == [0]


async def test_a_group_that_begins_with_the_latest_jobs_begins_there_for_good(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill
) -> None:
    await create_topic(topics.results_topic)
    await submit(fill, topics, 3)
    latest = topics.model_copy(update={"auto_offset_reset": "latest"})
    async with Exactly(latest) as exactly:
        await exactly.committed(3)
    await submit(fill, topics, 1)
    async with Exactly(latest) as exactly:
        await exactly.committed(4)
        assert await exactly.results() == [0]


async def test_what_brokers_do_not_allow_is_named_at_start(
    kafka: KafkaSettings, make_broker: Callable[..., KafkaBroker]
) -> None:
    broker = make_broker(
        properties={
            "transaction.max.timeout.ms": "70000",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
        }
    )
    await asyncio.to_thread(broker.start)
    there = kafka.model_copy(
        update={"bootstrap_servers": broker.bootstrap_servers, "create_topics": True}
    )
    await Exactly(there).service.connect()
    assert await transactions_found(there) is Status.OK
    with pytest.raises(KafkaSetupError, match=r"lower transactions\.timeout"):
        await Exactly(there, transactions={"timeout": 90}).service.connect()
    await forbid(there, f"{there.group_id}-{there.jobs_topic}-")
    with pytest.raises(KafkaSetupError, match=r"WRITE and DESCRIBE on transactional ids") as error:
        await Exactly(there).service.connect()
    assert f"begin with {there.group_id}-{there.jobs_topic}- " in str(error.value)
    assert await transactions_found(there) is Status.FAIL


async def transactions_found(kafka: KafkaSettings) -> Status:
    """What doctor says of transactions."""
    settings = Exactly(kafka).settings
    found = {each.subject: each for each in await asyncio.to_thread(look_at_kafka, settings, 20.0)}
    return found["Transactions"].status


async def forbid(kafka: KafkaSettings, prefix: str) -> None:
    """Let nobody use transactional ids that begin so."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    transactional_id, prefixed, everything, deny = 5, 4, 2, 2
    request = CreateAclsRequest(
        transactional_id, prefix, prefixed, "User:ANONYMOUS", "*", everything, deny
    )
    answer = await admin._send_request(request)
    await admin.close()
    assert [code for code, _ in answer.creation_responses] == [0], answer


async def test_brokers_that_cannot_keep_transactions_are_named_at_start(
    kafka: KafkaSettings, make_broker: Callable[..., KafkaBroker]
) -> None:
    broker = make_broker(properties={"transaction.state.log.replication.factor": "3"})
    await asyncio.to_thread(broker.start)
    there = kafka.model_copy(
        update={
            "bootstrap_servers": broker.bootstrap_servers,
            "create_topics": True,
            "request_timeout": 3.0,
        }
    )
    with pytest.raises(KafkaSetupError, match=r"transaction\.state\.log\.replication\.factor"):
        await Exactly(there).service.connect()


async def test_ordered_results_without_transactions_keep_the_order_around_refusals(
    topics: KafkaSettings, create_topic: CreateTopic, fill: Fill, alter: Alter
) -> None:
    await create_topic(topics.results_topic)
    exactly = Exactly(topics, delivery="at_least_once", results={"ordered": True})
    exactly.sizes[3] = 50_000
    exactly.hold_at[0] = asyncio.Event()
    async with exactly:
        await submit(fill, topics, 8)
        await exactly.reach(8, "classify_jobs_in_flight")
        await alter(topics.results_topic, "max.message.bytes", "20017")
        assert await exactly.results() == []
        exactly.hold_at[0].set()
        await exactly.committed(8)
        assert await exactly.results() == [0, 1, 2, -1, 4, 5, 6, 7]
