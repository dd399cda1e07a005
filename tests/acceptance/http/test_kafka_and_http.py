"""One worker with Kafka and HTTP side by side."""

from __future__ import annotations

import asyncio
import signal

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.http_client import ask, classify
from tests.support.images import job, noise_jpeg
from tests.support.workers import MakeWorker


async def test_kafka_and_http_answer_the_same(
    make_worker: MakeWorker, broker: KafkaBroker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, traffic.names, WORKER_HTTP__INFER="true")
    worker.start()
    await asyncio.to_thread(worker.wait_until_ready)
    body = job(noise_jpeg(1), topk=3)

    by_http = await asyncio.to_thread(classify, worker.port, body)
    by_kafka = await traffic.result(await traffic.send(body))

    assert by_http.json["result"] == by_kafka.body["result"]
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0


async def test_http_is_closed_unless_asked_for(
    make_worker: MakeWorker, broker: KafkaBroker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, traffic.names).start()
    await asyncio.to_thread(worker.wait_until_ready)

    for path in ("/", "/health", "/openapi.json", "/page.js"):
        assert (await asyncio.to_thread(ask, worker.port, "GET", path)).status == 404
    assert (await asyncio.to_thread(classify, worker.port, job(noise_jpeg(1)))).status == 404
