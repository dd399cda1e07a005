"""Processes that die under load: worker, predictor, broker. No job may be lost with them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from demo.broker import KafkaBroker
from tests.support.harness import Names, Traffic, wait_until_gone
from tests.support.images import job, noise_jpeg
from tests.support.workers import MakeWorker

JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(50)]


async def test_every_job_is_answered_though_the_worker_is_killed_amid_500(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(partitions=3)
    # Short, so that the group does not wait long for the dead member.
    environ = {
        "WORKER_KAFKA__SESSION_TIMEOUT": "6",
        "WORKER_KAFKA__HEARTBEAT_INTERVAL": "1",
        "WORKER_INTAKE__MAX_JOBS": "64",
        # The kill comes during the jobs on a quick machine too.
        "WORKER_FAILPOINTS": "predictor.slow=0.05",
    }
    worker = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    predictors = worker.predictors()
    ids = await traffic.send_all(JOBS * 10)
    await asyncio.to_thread(
        worker.wait_for_value, "classify_jobs_total", lambda done: done >= 150, outcome="success"
    )
    worker.kill()
    done = (await traffic.all_results()).keys()
    committed = sum((await traffic.committed()).values())
    assert committed <= len(done) < len(ids), "the kill came during the jobs"
    await asyncio.to_thread(wait_until_gone, predictors)
    worker.start()
    results = await traffic.results(ids)
    assert all(answer.body["errorCode"] == 0 for answers in results.values() for answer in answers)
    doubled = sum(len(answers) - 1 for answers in results.values())
    assert doubled <= len(done) - committed, "nothing that was committed is done again"
    await traffic.wait_until_committed(_ends(ids))


async def test_a_predictor_killed_during_a_batch_costs_no_job_and_not_the_worker(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(
        broker.bootstrap_servers, traffic.names, WORKER_FAILPOINTS="predictor.slow=0.5"
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    (predictor,) = worker.predictors()
    ids = await traffic.send_all(JOBS[:24])
    # The first batch is answered, so the second one is under way.
    await asyncio.to_thread(
        worker.wait_for_value, "classify_images_total", lambda images: images >= 1
    )
    os.kill(predictor, signal.SIGKILL)
    results = await traffic.results(ids)
    assert {len(answers) for answers in results.values()} == {1}
    assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
    assert worker.exit_status is None
    assert worker.value("classify_predictor_restarts_total", cause="crash") == 1
    assert worker.value("classify_predictor_slots") == 1
    assert worker.predictors() != [predictor]
    assert worker.probe("/livez")[0] == 200


async def test_every_job_is_answered_though_the_broker_restarts_under_load(
    make_broker: Callable[..., KafkaBroker], make_worker: MakeWorker, names: Names
) -> None:
    broker = make_broker()
    await asyncio.to_thread(broker.start)
    async with Traffic(broker.bootstrap_servers, names) as traffic:
        await traffic.create_topics(partitions=2)
        worker = make_worker(
            broker.bootstrap_servers, names, WORKER_FAILPOINTS="predictor.slow=0.1"
        ).start()
        await asyncio.to_thread(worker.wait_until_ready)
        pid = worker.pid
        ids = await traffic.send_all(JOBS * 6)
        await asyncio.to_thread(
            worker.wait_for_value, "classify_jobs_total", lambda done: done >= 50, outcome="success"
        )
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        after = await _send_patiently(traffic, JOBS[:10])
        results = await traffic.results([*ids, *after])
        assert {a.body["errorCode"] for answers in results.values() for a in answers} == {0}
        assert (worker.pid, worker.exit_status) == (pid, None)
        await traffic.wait_until_committed(_ends([*ids, *after]))
        assert worker.probe("/livez")[0] == worker.probe("/readyz")[0] == 200


async def _send_patiently(traffic: Traffic, values: list[bytes]) -> list[str]:
    async with asyncio.timeout(60):
        return await traffic.send_all(values)


def _ends(ids: list[str]) -> dict[int, int]:
    """One past the last offset of each partition, by partition."""
    ends: dict[int, int] = {}
    for record_id in ids:
        partition, offset = (int(part) for part in record_id.rsplit("-", 2)[1:])
        ends[partition] = max(ends.get(partition, 0), offset + 1)
    return ends
