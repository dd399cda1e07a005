"""Jobs of transactional producers: aborted ones are no jobs, and their markers are no lag."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaProducer

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import job, noise_jpeg
from tests.support.workers import MakeWorker

JOB = job(noise_jpeg(1), visualize=False)


async def test_aborted_jobs_are_skipped_and_leave_no_lag(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    topic = traffic.names.jobs
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, transactional_id=topic
        )
        await producer.start()
        stack.push_async_callback(producer.stop)
        async with producer.transaction():
            await producer.send_and_wait(topic, JOB)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, JOB)
        await producer.abort_transaction()
    # Offsets: 0 a job, 1 its commit marker, 2 the aborted job, 3 its abort marker.
    worker = make_worker(broker.bootstrap_servers, traffic.names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    await traffic.result(f"{topic}-0-0")
    await traffic.wait_until_committed({0: 4})
    await asyncio.to_thread(
        worker.wait_for_value, "classify_partition_lag_records", lambda lag: lag == 0
    )
    later = await traffic.send(JOB)
    assert later == f"{topic}-0-4"
    await traffic.result(later)
    await traffic.wait_until_committed({0: 5})
    assert set(await traffic.all_results()) == {f"{topic}-0-0", later}
    assert not await traffic.all_letters()
