"""What stops a worker from starting, and what it makes by itself."""

from __future__ import annotations

import asyncio

from demo.broker import KafkaBroker
from demo.ports import free_ports
from tests.support.harness import Names, Traffic
from tests.support.images import job, noise_jpeg
from tests.support.workers import MakeWorker


def test_missing_topics_are_an_error_that_names_them_and_the_setting(
    broker: KafkaBroker, make_worker: MakeWorker, names: Names
) -> None:
    worker = make_worker(broker.bootstrap_servers, names).start()
    assert worker.wait() == 3
    for word in (names.jobs, names.results, names.dead_letters, "kafka.create_topics"):
        assert word in worker.tail()
    assert "Traceback" not in worker.tail()


def test_a_broker_that_is_not_there_is_an_error_that_names_it(
    make_worker: MakeWorker, names: Names
) -> None:
    (port,) = free_ports(1)
    worker = make_worker(f"127.0.0.1:{port}", names).start()
    assert worker.wait() == 3
    assert f"127.0.0.1:{port}" in worker.tail()
    assert worker.tail().count("Traceback") == 0


async def test_missing_topics_are_created_when_a_setting_says_so(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_KAFKA__CREATE_TOPICS="true",
        WORKER_KAFKA__TOPICS__PARTITIONS="3",
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    topics = (traffic.names.jobs, traffic.names.results, traffic.names.dead_letters)
    for description in await traffic.admin.describe_topics(list(topics)):
        assert len(description["partitions"]) == 3
    assert worker.value("classify_assigned_partitions") == 3
    answer = await traffic.result(await traffic.send(job(noise_jpeg(0))))
    assert answer.body["errorCode"] == 0
