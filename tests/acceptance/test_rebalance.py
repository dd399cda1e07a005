"""Two workers share a group: partitions move under load, and no job is lost or skipped."""

from __future__ import annotations

import asyncio
import signal

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import job, noise_jpeg
from tests.support.loopback import HeldImage
from tests.support.workers import PATIENT, MakeWorker

JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(50)]
PARTITIONS = 4


async def test_partitions_move_under_load_and_no_job_is_lost_or_skipped(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(PARTITIONS)
    environ = {
        **PATIENT,
        # The stuck job is given up after half of it.
        "WORKER_KAFKA__REBALANCE_TIMEOUT": "12",
        "WORKER_INTAKE__MAX_JOBS": "48",
        "WORKER_FAILPOINTS": "predictor.slow=0.1",
    }
    first = make_worker(broker.bootstrap_servers, traffic.names, **environ).start()
    second = make_worker(broker.bootstrap_servers, traffic.names, **environ)
    async with HeldImage(noise_jpeg(0)) as held:
        await asyncio.to_thread(first.wait_until_ready)
        settled = await traffic.send_all(JOBS[:5], partition=0)
        stuck = await traffic.send(job(held.held_url, visualize=False), partition=0)
        ids = [*settled, stuck, *await traffic.send_all(JOBS[:20], partition=0)]
        await asyncio.wait_for(held.asked.wait(), 30)
        second.start()
        # Load while the second one starts, joins and takes over.
        while second.value("classify_assigned_partitions") < PARTITIONS / 2:
            assert second.exit_status is None, second.tail()
            ids += await traffic.send_all(JOBS)
            await traffic.results(ids[-20:-10])
            # Partition 0 may be whosever: nothing past its unanswered job is committed.
            assert (await traffic.committed()).get(0, 0) <= len(settled)
        await asyncio.to_thread(second.wait_until_ready)
        assert first.value("classify_assigned_partitions") == PARTITIONS / 2
        assert first.value("classify_abandoned_jobs_total") == 1, "the stuck one alone"
        assert (await traffic.committed()).get(0) == len(settled)
        ids += await traffic.send_all(JOBS)
        held.release.set()
        results = await traffic.results(ids)
        assert {a.body["errorCode"] for answers in results.values() for a in answers} == {0}
        assert second.value("classify_jobs_total") > 0
        # Back again: the first one leaves, and the second one has it all.
        ids += await traffic.send_all(JOBS)
        first.signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.wait) == 0
        await asyncio.to_thread(
            second.wait_for_value, "classify_assigned_partitions", lambda n: n == PARTITIONS
        )
        results = await traffic.results(ids)
        doubled = {i for i, answers in results.items() if len(answers) > 1}
        # Its successors were answered, but could not be committed before it.
        assert doubled <= set(ids[len(settled) :])
        sizes = dict.fromkeys(range(PARTITIONS), 0)
        for record_id in ids:
            sizes[int(record_id.rsplit("-", 2)[1])] += 1
        await traffic.wait_until_committed(sizes)


async def test_a_replica_without_partitions_is_ready_and_takes_over(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(partitions=1)
    workers = [make_worker(broker.bootstrap_servers, traffic.names).start() for _ in range(2)]
    for worker in workers:
        await asyncio.to_thread(worker.wait_until_ready)
    assigned = "classify_assigned_partitions"
    await asyncio.to_thread(
        workers[0].wait_for_value,
        assigned,
        lambda mine: mine + workers[1].value(assigned) == 1,
    )
    spare, busy = sorted(workers, key=lambda worker: worker.value(assigned))
    assert (spare.value(assigned), busy.value(assigned)) == (0, 1)
    for worker in workers:
        await asyncio.to_thread(worker.wait_until_ready)
        assert worker.probe("/livez")[0] == 200
    busy.signal(signal.SIGTERM)
    assert await asyncio.to_thread(busy.wait) == 0
    assert (await traffic.result(await traffic.send(JOBS[0]))).body["errorCode"] == 0
    assert spare.value(assigned) == 1
