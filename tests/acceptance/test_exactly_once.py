"""Exactly once: each job's outcome is read once and in order, whatever happens to its workers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from demo.broker import KafkaBroker
from tests.support.harness import BOUND, Names, Traffic, Worker
from tests.support.images import job, noise_jpeg
from tests.support.loopback import HeldImage
from tests.support.workers import PATIENT, MakeWorker

JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(30)]
EXACTLY_ONCE = {**PATIENT, "WORKER_DELIVERY": "exactly_once"}
PARTITIONS = 4


async def read_committed(traffic: Traffic, topic: str, id_header: str) -> dict[int, list[str]]:
    """The ids of all committed records of a topic, in their order, by its partition."""
    found: dict[int, list[str]] = {}
    numbers = await traffic.producer.partitions_for(topic)
    async with AIOKafkaConsumer(
        **traffic._client,
        isolation_level="read_committed",
        max_partition_fetch_bytes=8 << 20,
    ) as consumer:
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(BOUND):
            while any([await consumer.position(each) < ends[each] for each in partitions]):
                for each, records in (await consumer.getmany(timeout_ms=200)).items():
                    ids = [dict(record.headers)[id_header].decode() for record in records]
                    found.setdefault(each.partition, []).extend(ids)
    return found


async def each_has_one_result_in_order(traffic: Traffic, ids: Iterable[str]) -> None:
    """Wait until all offsets are committed; then each job has one result, in order."""
    wanted = sorted(ids)
    ends: dict[int, int] = {}
    for each in wanted:
        _, number, offset = each.rsplit("-", 2)
        ends[int(number)] = max(ends.get(int(number), 0), int(offset) + 1)
    await traffic.wait_until_committed(ends)
    results = await read_committed(traffic, traffic.names.results, "result-id")
    assert sorted(each for ids in results.values() for each in ids) == wanted
    for read in results.values():
        places = [each.rsplit("-", 2)[1:] for each in read]
        for source in ends:
            offsets = [int(offset) for place, offset in places if int(place) == source]
            assert offsets == sorted(offsets)


async def keyed(traffic: Traffic, count: int, partitions: int = 1) -> list[str]:
    """Send jobs whose results of one partition share a key, and so a partition of their own."""
    sent = [
        traffic.send_all(
            (JOBS[number % len(JOBS)] for number in range(count)), b"%d" % number, partition=number
        )
        for number in range(partitions)
    ]
    return [each for ids in await asyncio.gather(*sent) for each in ids]


async def test_results_dead_letters_and_offsets_are_committed_together_and_in_order(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, traffic.names, **EXACTLY_ONCE).start()
    async with HeldImage(noise_jpeg(0)) as held:
        await asyncio.to_thread(worker.wait_until_ready)
        first = await traffic.send_all([JOBS[0]] * 3)
        head = await traffic.send(job(held.held_url, visualize=False))
        later = await traffic.send_all([*JOBS[:5], b"no job"])
        await traffic.results(first)
        await asyncio.wait_for(held.asked.wait(), 30)
        await asyncio.to_thread(
            worker.wait_for_value, "classify_images_total", lambda images: images >= 8
        )
        assert set(await traffic.all_results()) == set(first), "those behind the head wait"
        # They fill their partition's share; the first ones' transaction may only just be over.
        await asyncio.to_thread(
            worker.wait_for_value, "classify_jobs_in_flight", lambda jobs: jobs == 7
        )
        held.release.set()
        await each_has_one_result_in_order(traffic, [*first, head, *later])
    letters = await read_committed(traffic, traffic.names.dead_letters, "dead-letter-id")
    assert letters == {0: [later[-1]]}
    assert worker.value("classify_transactions_total", outcome="committed") >= 2
    assert worker.value("classify_transactions_total", outcome="aborted") == 0
    assert worker.value("classify_transaction_records_sum") == 10
    await asyncio.to_thread(
        worker.wait_for_value, "classify_partition_lag_records", lambda lag: lag == 0
    )


async def test_a_worker_that_was_suspended_is_fenced_and_goes_on(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(PARTITIONS)
    environ = {
        **EXACTLY_ONCE,
        "WORKER_KAFKA__SESSION_TIMEOUT": "6",
        "WORKER_KAFKA__HEARTBEAT_INTERVAL": "1",
        # Jobs are under way all the time.
        "WORKER_FAILPOINTS": "predictor.slow=0.05",
    }
    zombie = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
    await asyncio.to_thread(zombie.wait_until_ready)
    ids = await keyed(traffic, 40, PARTITIONS)
    await asyncio.to_thread(
        zombie.wait_for_value, "classify_transactions_total", lambda n: n >= 1, outcome="committed"
    )
    zombie.signal(signal.SIGSTOP)
    try:
        heir = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
        await asyncio.to_thread(
            heir.wait_for_value, "classify_assigned_partitions", lambda n: n == PARTITIONS
        )
        ids += await keyed(traffic, 10, PARTITIONS)
        await asyncio.to_thread(
            heir.wait_for_value,
            "classify_transactions_total",
            lambda n: n >= PARTITIONS,
            outcome="committed",
        )
    finally:
        zombie.signal(signal.SIGCONT)
    ids += await keyed(traffic, 10, PARTITIONS)
    await each_has_one_result_in_order(traffic, ids)
    # It stays up, joins again and works.
    await asyncio.to_thread(
        zombie.wait_for_value, "classify_assigned_partitions", lambda n: n == PARTITIONS / 2
    )
    ids += await keyed(traffic, 10, PARTITIONS)
    await each_has_one_result_in_order(traffic, ids)
    assert zombie.exit_status is None


async def test_workers_that_are_killed_and_moved_double_nothing(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(PARTITIONS)
    environ = {
        **EXACTLY_ONCE,
        "WORKER_KAFKA__SESSION_TIMEOUT": "6",
        "WORKER_KAFKA__HEARTBEAT_INTERVAL": "1",
        # Hardly a moment without a transaction under way.
        "WORKER_TRANSACTIONS__COMMIT_INTERVAL": "0.01",
        "WORKER_FAILPOINTS": "predictor.slow=0.02",
    }

    ids: list[str] = []

    async def works(worker: Worker) -> None:
        """Wait until a worker has partitions, send jobs, and wait until it has committed some."""
        await asyncio.to_thread(
            worker.wait_for_value, "classify_assigned_partitions", lambda owned: owned > 0
        )
        before = worker.value("classify_transactions_total", outcome="committed")
        ids.extend(await keyed(traffic, 40, PARTITIONS))
        await asyncio.to_thread(
            worker.wait_for_value,
            "classify_transactions_total",
            lambda count: count > before,
            outcome="committed",
        )

    first = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
    await works(first)
    second = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
    await works(second)
    first.kill()
    third = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
    await works(third)
    second.signal(signal.SIGTERM)
    await each_has_one_result_in_order(traffic, ids)
    assert await asyncio.to_thread(second.wait) == 0


async def test_a_broker_that_is_killed_doubles_and_loses_nothing(
    make_broker: Callable[..., KafkaBroker], make_worker: MakeWorker
) -> None:
    broker = make_broker()
    await asyncio.to_thread(broker.start)
    names = Names.new()
    async with Traffic(broker.bootstrap_servers, names) as traffic:
        await traffic.create_topics(PARTITIONS)
        environ = {**EXACTLY_ONCE, "WORKER_TRANSACTIONS__COMMIT_INTERVAL": "0.01"}
        worker = make_worker(
            broker.bootstrap_servers, names, WORKER_FAILPOINTS="predictor.slow=0.02", **environ
        ).start()
        await asyncio.to_thread(worker.wait_until_ready)
        ids = await keyed(traffic, 60, PARTITIONS)
        await asyncio.to_thread(
            worker.wait_for_value,
            "classify_transactions_total",
            lambda n: n >= 2,
            outcome="committed",
        )
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        ids += await keyed(traffic, 5, PARTITIONS)
        await each_has_one_result_in_order(traffic, ids)
        assert worker.exit_status is None
