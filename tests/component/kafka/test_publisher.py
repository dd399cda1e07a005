"""The publisher against the real broker: refusals, replacement, cancellation, a bounded end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.admin import CreateAclsRequest

from demo.broker import KafkaBroker
from tests.support.topics import CreateTopic, Read
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.records import Message
from worker.kafka import broker_errors
from worker.kafka.broker_errors import Refused
from worker.kafka.client import make_producer
from worker.kafka.publisher import Outgoing, Publisher
from worker.kafka.topic_history import DOUBT_PATIENCE, ISOLATION_SECONDS, TopicHistory
from worker.kafka.topics import ensure_topics
from worker.metrics import Metrics
from worker.settings import KafkaSettings, PublishSettings

BOUND = 30.0
LIMIT = 20_000
"""The largest message of the small topics here, in bytes."""

SETTINGS = PublishSettings(max_request_bytes=1_000_000, backoff_max=0.2)

MakePublisher = Callable[..., Awaitable["Started"]]


class Started:
    """A publisher, the producers that it made, and its metrics."""

    def __init__(
        self, kafka: KafkaSettings, limits: Mapping[str, int], history: TopicHistory
    ) -> None:
        self.metrics = Metrics()
        self.producers: list[AIOKafkaProducer] = []
        self.make: Callable[..., AIOKafkaProducer] = partial(make_producer, kafka, SETTINGS)
        self.publisher = Publisher(
            self._make,
            limits,
            SETTINGS.max_request_bytes,
            SETTINGS.backoff_max,
            self.metrics,
            history,
        )

    def _make(self, *, max_batch_size: int, enable_idempotence: bool) -> AIOKafkaProducer:
        producer = self.make(max_batch_size=max_batch_size, enable_idempotence=enable_idempotence)
        self.producers.append(producer)
        return producer

    async def publish(self, *messages: Outgoing) -> list[Refused]:
        async with asyncio.timeout(BOUND):
            return await self.publisher.publish(messages)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def make_publisher(kafka: KafkaSettings) -> AsyncIterator[MakePublisher]:
    made: list[Started] = []

    async def make(limits: Mapping[str, int] | None = None, clock: Clock = SYSTEM_CLOCK) -> Started:
        started = Started(kafka, limits or {}, TopicHistory(lambda _: None, clock))
        await started.publisher.start()
        made.append(started)
        return started

    yield make
    for started in made:
        await started.publisher.stop(5.0)


def message(size: int, mark: bytes = b"m") -> Message:
    return Message(None, mark * size, ())


def halved(whole: Message) -> Message:
    return Message(whole.key, (whole.value or b"")[: len(whole.value or b"") // 2], whole.headers)


async def test_published_means_acknowledged_with_key_value_and_headers(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic)
    started = await make_publisher()
    await started.publish(Outgoing(topic, Message(b"key", b"value", (("a", b"1"), ("a", b"2")))))
    (record,) = await read(topic, 1)
    assert (record.key, record.value) == (b"key", b"value")
    assert record.headers == (("a", b"1"), ("a", b"2"))


async def test_several_messages_go_to_their_topics_together(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    results = await create_topic(kafka.results_topic)
    letters = await create_topic(kafka.dead_letters_topic)
    started = await make_publisher()
    await started.publish(
        Outgoing(results, Message(None, b"result", ())),
        Outgoing(letters, Message(None, None, (("why", b"null"),))),
    )
    assert [record.value for record in await read(results, 1)] == [b"result"]
    (letter,) = await read(letters, 1)
    # Without key and value there would be no record.
    assert (letter.key, letter.value, letter.headers) == (None, b"", (("why", b"null"),))


async def test_what_exceeds_a_known_limit_is_reduced_before_it_is_sent(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher({topic: LIMIT})
    await started.publish(Outgoing(topic, message(3 * LIMIT), (halved, halved)))
    (record,) = await read(topic, 1)
    assert len(record.value) == 3 * LIMIT // 4
    assert started.value("classify_reduced_messages_total", topic=topic) == 2
    assert len(started.producers) == 1, "nothing was refused"


async def test_small_messages_share_no_batch_that_exceeds_the_known_limit(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher({topic: LIMIT})
    size = LIMIT // 3
    await asyncio.gather(*(started.publish(Outgoing(topic, message(size))) for _ in range(12)))
    assert [len(record.value) for record in await read(topic, 12)] == [size] * 12
    assert len(started.producers) == 1
    assert started.value("classify_publish_retries_total") == 0


async def test_an_unknown_limit_costs_small_messages_nothing_but_a_retry(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher()
    size = LIMIT // 3
    # Those that wait while the first is under way share a batch, which the broker refuses.
    await asyncio.gather(*(started.publish(Outgoing(topic, message(size))) for _ in range(12)))
    assert [len(record.value) for record in await read(topic, 12)] == [size] * 12
    assert started.value("classify_reduced_messages_total", topic=topic) == 0
    # The batch's, its successor, and the one that sends each message alone from then on.
    assert len(started.producers) == 3
    await asyncio.gather(*(started.publish(Outgoing(topic, message(size))) for _ in range(12)))
    assert started.value("classify_publish_retries_total") <= 12
    assert len(started.producers) == 3


async def test_too_large_for_an_unknown_limit_is_reduced_and_others_still_flow(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher()
    await started.publish(Outgoing(topic, message(100, b"a")))
    small = [Outgoing(topic, message(100, b"b")) for _ in range(5)]
    await asyncio.gather(
        started.publish(Outgoing(topic, message(LIMIT + 5000, b"L"), (halved,))),
        *(started.publish(outgoing) for outgoing in small),
    )
    await started.publish(Outgoing(topic, message(100, b"c")))
    values = [record.value for record in await read(topic, 8)]
    assert values[0] == b"a" * 100
    assert values[-1] == b"c" * 100
    assert sorted(len(value) for value in values) == [100] * 7 + [(LIMIT + 5000) // 2]
    assert started.value("classify_reduced_messages_total", topic=topic) == 1
    assert len(started.producers) > 1, "the first producer's numbers had a gap"


async def test_what_no_reduction_makes_small_enough_is_given_back_and_others_still_flow(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher()
    outgoing = Outgoing(topic, message(5 * LIMIT), (halved, lambda same: same))
    assert await started.publish(outgoing) == [Refused(topic, 10, "MESSAGE_TOO_LARGE")]
    await started.publish(Outgoing(topic, message(10)))
    assert len((await read(topic, 1))[0].value) == 10


async def test_larger_than_any_request_is_refused_here_and_the_producer_stays(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic)
    started = await make_publisher()
    too_large = Outgoing(topic, message(SETTINGS.max_request_bytes + 1))
    assert [refused.too_large for refused in await started.publish(too_large)] == [True]
    await started.publish(Outgoing(topic, message(10)))
    assert len(started.producers) == 1


async def test_cancelling_one_job_during_a_replacement_leaves_the_others_a_producer(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher()
    make, replacing, go_on = started.make, asyncio.Event(), asyncio.Event()

    def held_up(**options: Any) -> AIOKafkaProducer:
        producer = make(**options)
        start = producer.start

        async def wait_then_start() -> None:
            replacing.set()
            await go_on.wait()
            await start()

        producer.start = wait_then_start
        return producer

    started.make = held_up
    large = asyncio.create_task(started.publish(Outgoing(topic, message(LIMIT + 5000), (halved,))))
    await asyncio.wait_for(replacing.wait(), BOUND)
    doomed = asyncio.create_task(started.publish(Outgoing(topic, message(10, b"d"))))
    other = asyncio.create_task(started.publish(Outgoing(topic, message(10, b"o"))))
    await asyncio.sleep(0)
    doomed.cancel()
    await asyncio.gather(doomed, return_exceptions=True)
    assert doomed.cancelled()
    go_on.set()
    await asyncio.gather(large, other)
    assert {record.value[:1] for record in await read(topic, 2)} == {b"m", b"o"}


async def test_a_replacement_that_fails_is_tried_until_it_succeeds(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher()
    make, errors = started.make, [KafkaConnectionError("no broker"), OSError("no descriptor")]

    def failing(**options: Any) -> AIOKafkaProducer:
        if errors:
            raise errors.pop()
        return make(**options)

    started.make = failing
    await started.publish(Outgoing(topic, message(LIMIT + 5000), (halved,)))
    assert not errors
    await read(topic, 1)


async def test_a_producer_whose_sender_died_is_replaced(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic)
    started = await make_publisher()
    await started.publish(Outgoing(topic, message(1)))
    (producer,) = started.producers
    # As aiokafka leaves it after an error that it has no answer to, with nothing under way.
    producer._message_accumulator.fail_all(KafkaError("Unexpected error during batch delivery"))
    await started.publish(Outgoing(topic, message(2)))
    assert len(started.producers) == 2
    assert [len(record.value) for record in await read(topic, 2)] == [1, 2]


async def test_stopping_while_a_replacement_is_under_way_is_bounded_and_quiet(
    make_publisher: MakePublisher, create_topic: CreateTopic, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, max_message_bytes=str(LIMIT))
    started = await make_publisher()
    replacing = asyncio.Event()

    def refuse(**options: Any) -> AIOKafkaProducer:
        replacing.set()
        raise KafkaConnectionError("no broker")

    started.make = refuse
    waiting = asyncio.create_task(started.publish(Outgoing(topic, message(LIMIT * 2), (halved,))))
    await asyncio.wait_for(replacing.wait(), BOUND)
    async with asyncio.timeout(BOUND):
        await started.publisher.stop(2.0)
    assert not waiting.done(), "only its own cancellation ends a job: nobody may take it for done"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()


async def test_stopping_is_bounded_while_the_broker_does_not_answer(
    make_broker: Callable[..., KafkaBroker],
) -> None:
    broker = make_broker()
    await asyncio.to_thread(broker.start)
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, create_topics=True)
    await ensure_topics(kafka, [kafka.results_topic])
    started = Started(kafka, {}, TopicHistory(lambda _: None))
    await started.publisher.start()
    await started.publish(Outgoing(kafka.results_topic, message(1)))
    broker.pause()
    waiting = asyncio.create_task(started.publish(Outgoing(kafka.results_topic, message(2))))
    (producer,) = started.producers
    async with asyncio.timeout(BOUND):
        # The message is on its way to the broker, which does not answer.
        while not producer._message_accumulator._pending_batches:  # noqa: ASYNC110 - aiokafka has no event for this
            await asyncio.sleep(0)
    async with asyncio.timeout(BOUND):
        await started.publisher.stop(1.0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    broker.resume()
    # What was left behind would outlive the test.
    await asyncio.wait_for(producer._sender.close(), BOUND)
    await asyncio.wait_for(producer.client.close(), BOUND)


async def test_what_is_refused_for_good_is_given_back_with_its_code_and_others_flow(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, cleanup_policy="compact")
    other = await create_topic(kafka.dead_letters_topic)
    started = await make_publisher()
    good = [Message(b"k%d" % number, b"good", ()) for number in range(500)]
    # A compacted topic takes nothing without a key.
    bad = [message(10, b"b") for _ in range(8)]
    mixed = [*good[:250], *bad, *good[250:]]
    answers, elsewhere = await asyncio.gather(
        asyncio.gather(*(started.publish(Outgoing(topic, each)) for each in mixed)),
        asyncio.gather(*(started.publish(Outgoing(other, each)) for each in good)),
    )
    assert answers[250:258] == [[Refused(topic, 87, "INVALID_RECORD")]] * 8
    assert answers[:250] == answers[258:] == [[]] * 250
    assert elsewhere == [[]] * 500
    assert {record.key for record in await read(topic, 500)} == {each.key for each in good}
    # What shared a batch with a bad one was sent once more; the bad ones were sent twice.
    assert started.value("classify_publish_retries_total") <= 500 + 2 * 8
    assert len(started.producers) == 3, "the shared one fell once, whatever followed"
    more = await asyncio.gather(
        *(started.publish(Outgoing(topic, each)) for each in [*bad, *good[:50]])
    )
    assert [len(refused) for refused in more] == [1] * 8 + [0] * 50
    assert len(started.producers) == 3


async def test_a_topic_that_refused_is_trusted_again_after_a_while(
    make_publisher: MakePublisher, create_topic: CreateTopic, read: Read, kafka: KafkaSettings
) -> None:
    topic = await create_topic(kafka.results_topic, cleanup_policy="compact")
    now = 0.0
    started = await make_publisher(clock=Clock(lambda: now))
    assert await started.publish(Outgoing(topic, message(10)))
    keyed = Outgoing(topic, Message(b"k", b"v", ()))
    await started.publish(keyed)
    (_, shared, alone) = started.producers
    now = ISOLATION_SECONDS
    await alone.stop()  # a caller that still needs it would make another one
    await started.publish(keyed)
    assert started.producers == [started.producers[0], shared, alone]
    await read(topic, 2)


async def test_a_doubtful_refusal_is_final_once_it_lasts_while_others_are_taken(
    make_publisher: MakePublisher,
    create_topic: CreateTopic,
    kafka: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if Kafka had not said that the record is the cause.
    monkeypatch.delitem(broker_errors._KINDS, 87)
    topic = await create_topic(kafka.results_topic, cleanup_policy="compact")
    now = 0.0
    started = await make_publisher(clock=Clock(lambda: now))
    doubtful = asyncio.create_task(started.publisher.publish([Outgoing(topic, message(10))]))

    async def tried_again() -> None:
        retries = started.value("classify_publish_retries_total")
        async with asyncio.timeout(BOUND):
            # One may have begun before: the second one sees what holds now.
            while started.value("classify_publish_retries_total") < retries + 2:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)

    await tried_again()
    now = DOUBT_PATIENCE + 1
    await tried_again()
    assert not doubtful.done(), "nothing shows yet that the message is to blame"
    await started.publish(Outgoing(topic, Message(b"k", b"v", ())))
    async with asyncio.timeout(BOUND):
        assert await doubtful == [Refused(topic, 87, "INVALID_RECORD")]


@asynccontextmanager
async def make_admin_client(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await client.start()
    yield client
    await client.close()


AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
TOPIC, LITERAL, READ, WRITE, ALLOW = 2, 3, 3, 4, 3
"""As Kafka's protocol numbers resources, patterns, operations and permissions."""


async def allow(bootstrap_servers: str, topic: str, operation: int) -> None:
    """Allow everybody one operation on a topic; from the first time on, no other one."""
    async with make_admin_client(bootstrap_servers) as admin:
        request = CreateAclsRequest(TOPIC, topic, LITERAL, "User:ANONYMOUS", "*", operation, ALLOW)
        response = await admin._send_request(request, admin._client.get_random_node())
        assert [entry[0] for entry in response.creation_responses] == [0]


async def test_a_forbidden_topic_is_tried_until_it_is_allowed_and_others_flow(
    make_broker: Callable[..., KafkaBroker],
) -> None:
    broker = make_broker(properties=AUTHORIZER)
    await asyncio.to_thread(broker.start)
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, create_topics=True)
    results, letters = kafka.results_topic, kafka.dead_letters_topic
    await ensure_topics(kafka, [results, letters])
    await allow(broker.bootstrap_servers, results, READ)
    # Whether it is compacted may not be read either, which is no reason not to start.
    both = [results, letters]
    assert list(await ensure_topics(kafka, both, uncompacted=both)) == [letters]
    changes: asyncio.Queue[bool] = asyncio.Queue()
    started = Started(kafka, {}, TopicHistory(changes.put_nowait))
    await started.publisher.start()
    publish = started.publisher.publish
    waiting = [asyncio.create_task(publish([Outgoing(results, message(10))])) for _ in range(20)]
    async with asyncio.timeout(BOUND):
        assert await changes.get() is True
        others = await asyncio.gather(
            *(publish([Outgoing(letters, message(10))]) for _ in range(500))
        )
        assert others == [[]] * 500
        assert not any(task.done() for task in waiting)
        assert len(started.producers) == 3, "attempts cost no producer"
        await allow(broker.bootstrap_servers, results, WRITE)
        assert await asyncio.gather(*waiting) == [[]] * 20
        assert await changes.get() is False
    assert changes.empty()
    await started.publisher.stop(5.0)
