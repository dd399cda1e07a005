"""The client at a real broker: topics that change, brokers that restart, and no output."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from demo.broker import KafkaBroker
from tests.support.harness import BOUND, Names, Traffic
from tests.support.stand_in_worker import answer, of_another, stand_in
from worker.client import KafkaClient, KafkaSetupError, ResultTimeout, SyncKafkaClient
from worker.contract.records import Message, Record
from worker.contract.results import without_copies
from worker.settings import KafkaSettings

JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
async def traffic(broker: KafkaBroker) -> AsyncIterator[Traffic]:
    async with Traffic(broker.bootstrap_servers, Names.new()) as traffic:
        yield traffic


def settings(servers: str, names: Names, **changed: float) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=servers,
        jobs_topic=names.jobs,
        results_topic=names.results,
        **changed,
    )


def any_result(record: Record) -> Sequence[Message]:
    return [answer(record, "any")]


async def test_results_in_a_partition_that_the_topic_gets_later(
    broker: KafkaBroker, traffic: Traffic
) -> None:
    # Jobs 0 and 2 are answered in the old partition: it is read on from where it was.
    quick = settings(broker.bootstrap_servers, traffic.names, metadata_max_age=0.2)

    def partition_of(record: Record) -> int:
        return 2 if record.offset == 1 else 0

    async with (
        stand_in(broker.bootstrap_servers, traffic, any_result, partition_of=partition_of),
        KafkaClient(settings=quick) as client,
    ):
        await client.classify(JPEG)
        await traffic.grow(3, traffic.names.results)
        for _ in range(2):
            assert (await client.classify(JPEG)).top1 is not None


async def test_many_among_results_of_others(broker: KafkaBroker, traffic: Traffic) -> None:
    def respond(record: Record) -> Sequence[Message]:
        of_nobody = without_copies(of_another(record))
        mine = answer(record, str(record.offset))
        if record.offset % 2:
            mine = without_copies(mine)  # as the worker does where a result is too large
        return [of_nobody, of_another(record), mine, answer(record, "second")]

    async with (
        stand_in(broker.bootstrap_servers, traffic, respond),
        KafkaClient(settings=settings(broker.bootstrap_servers, traffic.names)) as client,
    ):
        images = ({"image": "aGVsbG8="} for _ in range(120))
        outcomes = [each async for each in client.classify_many(images, max_jobs=50)]
    assert sorted(outcome.number for outcome in outcomes) == list(range(120))
    for outcome in outcomes:
        offset = (outcome.record_id or "").rpartition("-")[2]
        top1 = outcome.unwrap().top1
        assert top1 is not None
        assert top1.name == offset


async def test_a_broker_that_restarts_costs_nothing(
    make_broker: Callable[..., KafkaBroker],
) -> None:
    broker = make_broker()
    await asyncio.to_thread(broker.start)
    names = Names.new()
    # However long the broker takes to start again.
    patient = settings(broker.bootstrap_servers, names, request_timeout=BOUND)
    async with (
        Traffic(broker.bootstrap_servers, names) as traffic,
        stand_in(broker.bootstrap_servers, traffic, any_result),
        KafkaClient(settings=patient) as client,
    ):
        await client.classify(JPEG)
        await asyncio.to_thread(broker.stop)
        with pytest.raises(ResultTimeout, match="the brokers have not acknowledged"):
            await client.classify(JPEG, timeout=0.2)
        waiting = asyncio.create_task(client.classify(JPEG, timeout=BOUND))
        await asyncio.to_thread(broker.start)
        assert (await waiting).top1 is not None


@pytest.mark.parametrize("servers", [None, "127.0.0.1:9"])
def test_kafka_that_cannot_be_used(broker: KafkaBroker, servers: str | None) -> None:
    names = Names.new()
    client = SyncKafkaClient(settings=settings(servers or broker.bootstrap_servers, names))
    with pytest.raises(KafkaSetupError, match=servers or names.jobs), client:
        pytest.fail("it is not open")


async def test_a_program_says_only_what_it_says_itself(
    broker: KafkaBroker, traffic: Traffic
) -> None:
    program = f"""
from worker.client import SyncKafkaClient

with SyncKafkaClient(
    {broker.bootstrap_servers!r},
    jobs_topic={traffic.names.jobs!r},
    results_topic={traffic.names.results!r},
) as client:
    for outcome in client.classify_many([{JPEG!r}] * 3):
        print(outcome.unwrap().top1.name)
"""

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )

    async with stand_in(broker.bootstrap_servers, traffic, any_result):
        ended = await asyncio.to_thread(run)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "any\nany\nany\n", "")
