"""Bounds that hold under load: jobs in flight, bytes held, and the size of messages."""

from __future__ import annotations

import asyncio

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import base64_of, job, noise_jpeg
from tests.support.loopback import HeldImage
from tests.support.workers import PATIENT, MakeWorker

JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(20)]
JOBS_IN_FLIGHT = "classify_jobs_in_flight"
PAUSED = "classify_paused_partitions"


async def test_no_more_jobs_than_the_budget_are_held_and_the_rest_waits_at_the_broker(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics(partitions=2)
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        **PATIENT,
        WORKER_INTAKE__MAX_JOBS="6",
        WORKER_INTAKE__PARTITION_MAX_JOBS="4",
        WORKER_KAFKA__MAX_POLL_INTERVAL="2",
        WORKER_KAFKA__SESSION_TIMEOUT="6",
        WORKER_KAFKA__HEARTBEAT_INTERVAL="1",
    ).start()
    async with HeldImage(noise_jpeg(0)) as held:
        await asyncio.to_thread(worker.wait_until_ready)
        slow = job(held.held_url, visualize=False)
        stuck = await traffic.send_all([slow] * 10, partition=0)
        await asyncio.to_thread(worker.wait_for_value, JOBS_IN_FLIGHT, lambda n: n == 4)
        # The other partition goes on while the first one is full.
        free = await traffic.send_all(JOBS, partition=1)
        await traffic.results(free)
        await asyncio.to_thread(worker.wait_for_value, JOBS_IN_FLIGHT, lambda n: n == 4)
        await asyncio.to_thread(worker.wait_for_value, PAUSED, lambda n: n == 1)
        # Then it fills the rest of the budget.
        stuck += await traffic.send_all([slow] * 10, partition=1)
        await asyncio.to_thread(worker.wait_for_value, JOBS_IN_FLIGHT, lambda n: n == 6)
        waiting = await traffic.send_all(JOBS)
        await asyncio.to_thread(worker.wait_for_value, PAUSED, lambda n: n == 2)
        # Longer than the group would wait for a poll: polling goes on.
        for _ in range(15):
            await asyncio.sleep(0.2)
            assert worker.value(JOBS_IN_FLIGHT) == 6
        assert len(held.requests) <= 6
        assert worker.value("classify_rebalances_total") == 1
        assert worker.probe("/livez")[0] == worker.probe("/readyz")[0] == 200
        held.release.set()
        results = await traffic.results([*stuck, *free, *waiting])
        assert {len(answers) for answers in results.values()} == {1}
        assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
        await asyncio.to_thread(worker.wait_for_value, JOBS_IN_FLIGHT, lambda n: n == 0)
        await asyncio.to_thread(worker.wait_for_value, PAUSED, lambda n: n == 0)
        assert worker.value("classify_buffered_bytes") == 0


async def test_no_more_bytes_than_the_budget_and_one_poll_are_held(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    padding = "x" * 100_000
    budget, poll = 300_000, 250_000
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        **PATIENT,
        WORKER_INTAKE__MAX_BYTES=str(budget),
        WORKER_KAFKA__PARTITION_FETCH_BYTES=str(poll),
    ).start()
    async with HeldImage(noise_jpeg(0)) as held:
        await asyncio.to_thread(worker.wait_until_ready)
        value = job(held.held_url, padding=padding, visualize=False)
        ids = await traffic.send_all([value] * 12)
        await asyncio.to_thread(worker.wait_for_value, PAUSED, bool)
        assert budget <= worker.value("classify_buffered_bytes") < budget + poll
        held.release.set()
        results = await traffic.results(ids)
        assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
        await asyncio.to_thread(worker.wait_for_value, "classify_buffered_bytes", lambda n: n == 0)


async def test_a_result_too_large_for_its_topic_loses_its_picture_alone(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    """The limit is known at first, then lowered while the worker runs; all others still flow."""
    names = traffic.names
    await traffic.create_topics(configs={names.results: {"max.message.bytes": "60000"}})
    worker = make_worker(broker.bootstrap_servers, names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    large, small = noise_jpeg(0, 1000, 800), noise_jpeg(1)
    assert len(base64_of(large)) < 1_000_000
    ids = await traffic.send_all([job(small), job(large), job(small)])
    results = await traffic.results(ids)
    pictures = [results[i][0].body["result"].get("image") for i in ids]
    assert [picture is not None for picture in pictures] == [True, False, True]
    reduced = results[ids[1]][0].body
    assert (reduced["errorCode"], reduced["result"]["imageOmitted"]) == (0, True)
    assert len(reduced["result"]["categories"]) == 5
    assert worker.value("classify_publish_retries_total") == 0, "the known limit was kept"

    resource = ConfigResource(
        ConfigResourceType.TOPIC, names.results, configs={"max.message.bytes": "5000"}
    )
    await traffic.admin.alter_configs([resource])
    middle = noise_jpeg(2, 320, 240)
    lowered = await traffic.send_all([job(middle), *JOBS[:5], job(middle), *JOBS[5:]])
    results = await traffic.results(lowered)
    assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
    omitted = [results[i][0].body["result"].get("imageOmitted", False) for i in lowered]
    assert omitted == [True, *[False] * 5, True, *[False] * 15]
    assert worker.value("classify_reduced_messages_total", topic=names.results) == 3
    assert await traffic.all_letters() == {}
    await traffic.wait_until_committed({0: len(ids) + len(lowered)})


async def test_an_answer_without_room_is_a_failure_with_its_dead_letter(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics(configs={names.results: {"max.message.bytes": "4000"}})
    worker = make_worker(broker.bootstrap_servers, names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    greedy = job(noise_jpeg(0), topk=1000, visualize=False, jobId="greedy")
    key = b"k" * 5000
    many, keyed, good = (
        await traffic.send(greedy),
        await traffic.send(JOBS[0], key=key),
        await traffic.send(JOBS[1]),
    )
    results = {i: answers[0] for i, answers in (await traffic.results([many, keyed, good])).items()}
    refused = results[many].body
    assert (refused["errorCode"], refused["jobId"]) == (413, "greedy")
    assert "smaller topK" in refused["errorMsg"]
    letter = await traffic.letter(many)
    assert letter.value == greedy
    assert letter.header("dead-letter-stage") == "publish"
    assert letter.header("dead-letter-reason") == "too_large"
    # What is too large beside the answer is left out; the answer is not.
    assert (results[keyed].key, results[keyed].body["errorCode"]) == (None, 0)
    assert len(results[keyed].body["result"]["categories"]) == 5
    assert (await traffic.all_letters()).keys() == {many}
    await traffic.wait_until_committed({0: 3})
    assert worker.value("classify_jobs_total", outcome="failure", reason="too_large") == 1
    assert worker.value("classify_jobs_total", outcome="success", reason="ok") == 2
