"""Messages that the brokers refuse for good, and topics that would: no other job waits for them."""

from __future__ import annotations

import asyncio
from functools import partial

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from demo.broker import KafkaBroker
from tests.support.harness import BOUND, PAUSE, Traffic, until
from tests.support.images import job, noise_jpeg
from tests.support.workers import MakeWorker

GOOD = [job(noise_jpeg(seed), visualize=False) for seed in range(25)]
BAD = b"{not json"
SET_ASIDE = "classify_set_aside_messages_total"


async def compact(traffic: Traffic, *topics: str) -> None:
    """From now on these topics take nothing without a key."""
    configs = {"cleanup.policy": "compact"}
    await traffic.admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, configs) for topic in topics]
    )
    # The controller has it at once, the broker a moment later.
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    known = False
    async with asyncio.timeout(BOUND):
        while not known:
            await asyncio.sleep(PAUSE)
            known = all(
                ("cleanup.policy", "compact") in {tuple(entry[:2]) for entry in entries}
                for answer in await traffic.admin.describe_configs(asked)
                for *_, entries in answer.resources
            )


async def test_jobs_whose_answers_no_topic_takes_hold_no_other_job_up(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics(partitions=2)
    worker = make_worker(broker.bootstrap_servers, names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    topics = (names.results, names.dead_letters)
    _, text = worker.probe("/metrics")
    for topic in topics:
        assert f'{SET_ASIDE}{{topic="{topic}"}} 0.0' in text
    await compact(traffic, *topics)
    # Without a key: neither a result nor a dead letter can tell of them.
    lost = await traffic.send_all([BAD] * 4, partition=0)
    lost += await traffic.send_all(GOOD[:4], partition=0)
    ids = await traffic.send_all(GOOD, key=b"same partition", partition=0)
    ids += await traffic.send_all(GOOD, key=b"another", partition=1)
    await traffic.wait_until_committed({0: 8 + len(GOOD), 1: len(GOOD)})
    results = await traffic.results(ids)
    assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
    assert worker.value(SET_ASIDE, topic=names.results) == 8
    assert worker.value(SET_ASIDE, topic=names.dead_letters) == 8
    set_aside = partial(worker.events, "message_set_aside")
    await asyncio.to_thread(until, lambda: len(set_aside()) >= 16, "the log tells of each")
    told = set_aside()
    assert {(each["topic"], each["record"]) for each in told} == {
        (topic, record) for topic in topics for record in lost
    }
    assert {(each["code"], each["reason"]) for each in told} == {(87, "INVALID_RECORD")}
    assert (await traffic.all_results()).keys() == set(ids)
    assert worker.probe("/livez")[0] == worker.probe("/readyz")[0] == 200


async def test_a_result_that_its_topic_never_takes_is_told_of_by_a_dead_letter(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    await compact(traffic, names.results)
    record = await traffic.send(GOOD[0])
    letter = await traffic.letter(record)
    assert letter.value == GOOD[0]
    assert letter.header("dead-letter-reason") == "result_refused"
    assert letter.header("dead-letter-stage") == "publish"
    assert "INVALID_RECORD" in (letter.header("dead-letter-message") or "")
    await traffic.wait_until_committed({0: 1})
    assert worker.value("classify_jobs_total", outcome="failure", reason="result_refused") == 1
    assert worker.value(SET_ASIDE, topic=names.results) == 1
    assert worker.value(SET_ASIDE, topic=names.dead_letters) == 0


async def test_a_worker_does_not_start_with_compacted_results(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics(configs={names.results: {"cleanup.policy": "compact,delete"}})
    worker = make_worker(broker.bootstrap_servers, names).start()
    assert await asyncio.to_thread(worker.wait) == 3
    assert names.results in worker.tail()
    assert "cleanup.policy=delete" in worker.tail()
