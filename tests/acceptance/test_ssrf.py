"""Which addresses a job's URL can make the worker reach, with loopback addresses as stand-ins.

127.0.0.1 is allowed here as an operator would allow a private network; 127.0.0.2 and ::1 are not.
What the forbidden servers were asked counts, not what was answered.
"""

from __future__ import annotations

import asyncio

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import job, noise_jpeg
from tests.support.loopback import ImageServer
from tests.support.workers import MakeWorker

IMAGES = {"/cat.jpg": noise_jpeg(0)}


async def test_only_allowed_addresses_are_asked_whatever_the_url_looks_like(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_KAFKA__CREATE_TOPICS="true",
        WORKER_FETCH__ALLOW_NETWORKS="127.0.0.1/32",
    ).start()
    async with (
        ImageServer(IMAGES) as allowed,
        ImageServer(IMAGES, "127.0.0.2") as second,
        ImageServer(IMAGES, "::1") as third,
    ):
        await asyncio.to_thread(worker.wait_until_ready)
        allowed.redirect("/to-second", second.url("/cat.jpg"))
        allowed.redirect("/to-third", third.url("/cat.jpg"))
        allowed.redirect("/to-itself", allowed.url("/cat.jpg"))
        allowed.redirect("/to-file", "file:///etc/hostname")
        allowed.redirect("/to-disguised", f"http://0177.0.0.2:{second.port}/cat.jpg")
        expected = {
            allowed.url("/cat.jpg"): 0,
            allowed.url("/to-itself"): 0,
            second.url("/cat.jpg"): 403,
            third.url("/cat.jpg"): 403,
            f"http://[::ffff:127.0.0.2]:{second.port}/cat.jpg": 403,
            f"http://2130706434:{second.port}/cat.jpg": 403,
            f"http://0x7f.2:{second.port}/cat.jpg": 403,
            f"http://0177.0.0.2:{second.port}/cat.jpg": 403,
            allowed.url("/to-second"): 403,
            allowed.url("/to-third"): 403,
            allowed.url("/to-disguised"): 403,
            allowed.url("/to-file"): 424,
        }
        ids = await traffic.send_all([job(url, jobId=url) for url in expected])
        results = await traffic.results(ids)
        answered = {
            answer.body["jobId"]: answer.body["errorCode"] for (answer,) in results.values()
        }
        assert answered == expected
        assert second.requests == third.requests == []
        assert allowed.requests.count("/cat.jpg") == 2
        assert worker.value("classify_fetch_attempts_total") == 0, "a forbidden URL is final"


async def test_a_name_that_resolves_to_a_forbidden_address_is_refused(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    """`localhost` resolves to 127.0.0.1 and ::1 without any name server; neither is allowed."""
    worker = make_worker(
        broker.bootstrap_servers, traffic.names, WORKER_KAFKA__CREATE_TOPICS="true"
    ).start()
    async with ImageServer(IMAGES) as server:
        await asyncio.to_thread(worker.wait_until_ready)
        urls = [f"http://localhost:{server.port}/cat.jpg", server.url("/cat.jpg")]
        ids = await traffic.send_all([job(url) for url in urls])
        letters = await traffic.letters(ids)
        assert [letters[i][0].header("dead-letter-reason") for i in ids] == ["forbidden_url"] * 2
        assert server.requests == []
