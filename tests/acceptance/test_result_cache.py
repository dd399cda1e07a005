"""The result cache of a whole worker: one for Kafka and HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import job, noise_jpeg
from tests.support.workers import MakeWorker

JPEG = noise_jpeg(0)
LOOKUPS = "classify_result_cache_lookups_total"


def by_http(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/image-classification", JPEG, {"Content-Type": "image/jpeg"})
        body: dict[str, Any] = json.loads(connection.getresponse().read())
        return body
    finally:
        connection.close()


async def test_an_image_is_computed_once_and_each_job_gets_its_own_answer(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_RESULT_CACHE__MAX_ENTRIES="100",
        WORKER_HTTP__INFER="true",
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    same = [job(JPEG, jobId=str(number), visualize=True) for number in range(10)]
    ids = await traffic.send_all(same)
    answers = await traffic.results(ids)
    bodies = [answers[record_id][0].body for record_id in ids]
    assert [body["jobId"] for body in bodies] == [str(number) for number in range(10)]
    assert len({json.dumps(body | {"id": "", "jobId": ""}) for body in bodies}) == 1
    assert worker.value("classify_images_total") == 1
    answer = await asyncio.to_thread(by_http, worker.port)
    assert answer["result"] == bodies[0]["result"]
    assert worker.value("classify_images_total") == 1
    assert worker.value(LOOKUPS, outcome="miss") == 1
    assert sum(worker.value(LOOKUPS, outcome=outcome) for outcome in ("hit", "shared")) == 10
    # Another one is not answered with this one's result.
    other = await traffic.result(await traffic.send(job(noise_jpeg(1), visualize=True)))
    assert other.body["result"] != bodies[0]["result"]
    assert worker.value(LOOKUPS, outcome="miss") == 2
