"""How a worker ends: in order and in time, with its work committed; at once at a second signal."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from functools import partial

import pytest

from demo.broker import KafkaBroker
from tests.support.harness import Names, Traffic, Worker, until, wait_until_gone
from tests.support.images import job, noise_jpeg
from tests.support.loopback import HeldImage
from tests.support.workers import PATIENT, MakeWorker

DEADLINE = 20.0
JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(40)]


async def test_a_signal_under_load_ends_the_worker_in_order(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(partitions=2)
    environ = {
        "WORKER_FAILPOINTS": "predictor.slow=0.2",
        "WORKER_INTAKE__MAX_JOBS": "32",
        # Only the last commit counts.
        "WORKER_KAFKA__COMMIT_INTERVAL": "60",
        "WORKER_SHUTDOWN__DEADLINE": str(DEADLINE),
    }
    ids: list[str] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        worker = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
        await asyncio.to_thread(worker.wait_until_ready)
        ids += await traffic.send_all(JOBS * 3)
        await asyncio.to_thread(
            worker.wait_for_value, "classify_jobs_total", lambda done: done >= 30, outcome="success"
        )
        predictors = worker.predictors()
        began = time.monotonic()
        worker.signal(number)
        # It drains what it has for a few batches, and says so meanwhile.
        await asyncio.to_thread(until, partial(_draining, worker), "not ready")
        assert await asyncio.to_thread(worker.wait, DEADLINE) == 0
        assert time.monotonic() - began < DEADLINE
        assert [entry["abandoned_jobs"] for entry in worker.events("drained")] == [0]
        await asyncio.to_thread(wait_until_gone, predictors)
        # All that it took in is answered and committed; the rest is untouched.
        done = await traffic.all_results()
        assert 30 <= len(done) < len(ids), "the signal came during the jobs"
        assert sum((await traffic.committed()).values()) == len(done)
    make_worker(broker.bootstrap_servers, traffic.names).start()
    results = await traffic.results(ids)
    assert {len(answers) for answers in results.values()} == {1}, "nothing lost, nothing twice"


async def test_a_second_signal_ends_the_worker_at_once(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, traffic.names, **PATIENT).start()
    async with HeldImage(noise_jpeg(0)) as held:
        await asyncio.to_thread(worker.wait_until_ready)
        await traffic.send(job(held.held_url))
        await asyncio.wait_for(held.asked.wait(), 30)
        await traffic.wait_until_committed({0: 0})
        predictors = worker.predictors()
        worker.signal(signal.SIGTERM)
        await asyncio.to_thread(worker.wait_for_event, "stopping")
        assert worker.exit_status is None, "it waits for the held job"

        def told_again() -> bool:
            # Until it counts: one that comes too soon is taken for an echo of the first.
            worker.signal(signal.SIGTERM)
            return worker.exit_status is not None

        await asyncio.to_thread(until, told_again, "the worker ends")
        assert await asyncio.to_thread(worker.wait) == 128 + signal.SIGTERM
        await asyncio.to_thread(wait_until_gone, predictors)
    assert await traffic.committed() == {0: 0}


async def test_what_does_not_end_by_the_deadline_is_left_uncommitted(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    # A good part of it is for the last commit and for closing the connections.
    environ = {**PATIENT, "WORKER_SHUTDOWN__DEADLINE": "10"}
    worker = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
    async with HeldImage(noise_jpeg(0)) as held:
        await asyncio.to_thread(worker.wait_until_ready)
        before = await traffic.send(JOBS[0])
        await traffic.send(job(held.held_url))
        after = await traffic.send(JOBS[1])
        await traffic.results([before, after])
        await asyncio.wait_for(held.asked.wait(), 30)
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait) == 0
        assert await traffic.committed() == {0: 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_while_the_model_loads_ends_the_worker_promptly(
    number: signal.Signals, broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, traffic.names).start()
    await asyncio.to_thread(worker.wait_for_event, "starting")
    await asyncio.to_thread(until, lambda: bool(worker.predictors()), "a predictor process")
    (predictor,) = worker.predictors()
    worker.signal(number)
    assert await asyncio.to_thread(worker.wait, DEADLINE) == 0
    assert not worker.events("warm"), "the signal came while it loaded"
    await asyncio.to_thread(wait_until_gone, [predictor])


async def test_a_signal_while_no_broker_answers_ends_the_worker_in_order(
    make_broker: Callable[..., KafkaBroker], make_worker: MakeWorker, names: Names
) -> None:
    broker = make_broker()
    await asyncio.to_thread(broker.start)
    async with Traffic(broker.bootstrap_servers, names) as traffic:
        await traffic.create_topics()
        worker = make_worker(broker.bootstrap_servers, names).start()
        await asyncio.to_thread(worker.wait_until_ready)
        await traffic.send(JOBS[0])
        await traffic.wait_until_committed({0: 1})
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(worker.wait_for_event, "no_broker_answers")
    assert worker.probe("/readyz") == (503, "no broker answers\n")
    assert worker.value("classify_ready") == 0
    assert worker.events("fetch_failed")
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, DEADLINE) == 0
    told = [entry["message"] for entry in worker.events("aiokafka_message")]
    assert len([message for message in told if "LeaveGroup request failed" in message]) == 1


def _draining(worker: Worker) -> bool:
    return worker.probe("/readyz") == (503, "draining\n")
