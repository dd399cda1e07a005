"""What is committed, and when: never anything beyond a job without its answer."""

from __future__ import annotations

import asyncio

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import job, noise_jpeg
from tests.support.loopback import HeldImage
from tests.support.workers import PATIENT, MakeWorker


async def test_the_committed_offset_waits_for_the_slowest_job_before_it(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, traffic.names, **PATIENT).start()
    async with HeldImage(noise_jpeg(0)) as held:
        await asyncio.to_thread(worker.wait_until_ready)
        first = await traffic.send_all([job(noise_jpeg(1))] * 3)
        head = await traffic.send(job(held.held_url))
        later = await traffic.send_all([job(noise_jpeg(n)) for n in range(20)])
        await asyncio.wait_for(held.asked.wait(), 30)
        results = await traffic.results([*first, *later])
        assert all(answers[0].body["errorCode"] == 0 for answers in results.values())
        await traffic.wait_until_committed({0: 3})
        # Several commit intervals, of which none may pass the head.
        before = worker.value("classify_commits_total")
        probe = await traffic.send(job(noise_jpeg(30)))
        await traffic.results([probe])
        assert await traffic.committed() == {0: 3}
        # A result can be read before the worker has heard that it was acknowledged.
        await asyncio.to_thread(
            worker.wait_for_value, "classify_jobs_in_flight", lambda jobs: jobs == 1
        )
        held.release.set()
        assert (await traffic.result(head)).body["errorCode"] == 0
        await traffic.wait_until_committed({0: 25})
        await asyncio.to_thread(
            worker.wait_for_value, "classify_commits_total", lambda commits: commits > before
        )
