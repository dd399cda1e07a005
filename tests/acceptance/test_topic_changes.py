"""What operators do to a jobs topic while workers run: it grows, or is made anew."""

from __future__ import annotations

import asyncio
import signal

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from demo.broker import KafkaBroker
from tests.support.harness import BOUND, Traffic
from tests.support.images import job, noise_jpeg
from tests.support.workers import MakeWorker

JOB = job(noise_jpeg(0), visualize=False)
SOON = {"WORKER_KAFKA__METADATA_MAX_AGE": "0.5"}


async def test_jobs_in_new_partitions_are_answered(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(partitions=1)
    worker = make_worker(broker.bootstrap_servers, traffic.names, **SOON).start()
    await asyncio.to_thread(worker.wait_until_ready)
    await traffic.grow(partitions=3)
    ids = [await traffic.send(JOB, partition=number) for number in range(3)]
    results = await traffic.results(ids)
    assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
    assert worker.value("classify_assigned_partitions") == 3


async def test_jobs_of_a_topic_that_is_made_anew_are_answered(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics(partitions=1)
    worker = make_worker(broker.bootstrap_servers, names, **SOON).start()
    await asyncio.to_thread(worker.wait_until_ready)
    old = await traffic.send_all([JOB] * 3)
    await traffic.results(old)
    await traffic.wait_until_committed({0: 3})
    await traffic.admin.delete_topics([names.jobs])
    assigned = "classify_assigned_partitions"
    await asyncio.to_thread(worker.wait_for_value, assigned, lambda n: n == 0)
    await traffic.create_topic(names.jobs, partitions=2)
    await traffic.learn(partitions=2)
    await asyncio.to_thread(worker.wait_for_value, assigned, lambda n: n == 2)
    # Offsets begin again, and so do the results' ids: they are counted.
    ids = [await traffic.send(JOB, partition=number) for number in (0, 0, 1)]
    assert ids[:2] == old[:2]
    async with asyncio.timeout(BOUND):
        await traffic.wait_until_committed({0: 2, 1: 1})
    answers = await traffic.all_results()
    assert [len(answers[record_id]) for record_id in (*old, ids[2])] == [2, 2, 1, 1]


async def test_jobs_that_retention_took_are_counted_and_the_rest_is_answered(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics(partitions=1)
    # A setting for new groups: this one has been here before.
    latest = {"WORKER_KAFKA__AUTO_OFFSET_RESET": "latest"}
    worker = make_worker(broker.bootstrap_servers, names, **latest).start()
    await asyncio.to_thread(worker.wait_until_ready)
    await traffic.wait_until_committed({0: 0})
    await traffic.results(await traffic.send_all([JOB] * 2))
    await traffic.wait_until_committed({0: 2})
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0
    ids = await traffic.send_all([JOB] * 5)
    await traffic.admin.delete_records({TopicPartition(names.jobs, 0): RecordsToDelete(5)})
    worker.start()
    await traffic.results(ids[3:])
    await traffic.wait_until_committed({0: 7})
    assert worker.value("classify_lost_records_total") == 3
    told = await asyncio.to_thread(worker.wait_for_event, "records_lost")
    assert len(worker.events("records_lost")) == 1
    assert (told["topic"], told["partition"], told["lost"]) == (names.jobs, 0, 3)
    assert set(ids[:3]).isdisjoint(await traffic.all_results())
