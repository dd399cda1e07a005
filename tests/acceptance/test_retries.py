"""Delayed retries and duplicates by a whole worker: one answer to each job, as if nothing were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from demo.broker import KafkaBroker
from tests.support.harness import Names, Traffic, Worker
from tests.support.images import job, noise_jpeg
from tests.support.loopback import HeldImage, ImageServer
from tests.support.workers import PATIENT, MakeWorker

ALWAYS = 1_000_000
RETRYING = {
    **PATIENT,
    "WORKER_FETCH__ATTEMPTS": "1",
    "WORKER_KAFKA__CREATE_TOPICS": "true",
    "WORKER_KAFKA__TOPICS__PARTITIONS": "1",
}
ORIGIN = ("correlation-id", b"c-1"), ("tenant", b"rabbits")


@pytest.fixture(scope="module")
def shared() -> Names:
    """The topics of all tests of this module but one."""
    return Names.new()


@pytest.fixture(scope="module")
def worker(broker: KafkaBroker, make_worker: MakeWorker, shared: Names) -> Iterator[Worker]:
    started = make_worker(
        broker.bootstrap_servers,
        shared,
        **RETRYING,
        WORKER_RETRY__DELAYS="250ms,0.5",
        WORKER_DUPLICATES__WINDOW="1h",
    ).start()
    started.wait_until_ready()
    yield started
    started.kill()


@pytest.fixture
async def sender(broker: KafkaBroker, shared: Names, worker: Worker) -> AsyncIterator[Traffic]:
    async with Traffic(broker.bootstrap_servers, shared) as traffic:
        yield traffic


async def ended(worker: Worker, traffic: Traffic, record_id: str) -> None:
    """Wait until nothing more can come of this job."""
    await traffic.result(record_id)
    for metric in ("classify_jobs_in_flight", "classify_retry_waiting_records"):
        await asyncio.to_thread(worker.wait_for_value, metric, lambda waiting: waiting == 0)


async def test_a_host_that_fails_twice_costs_two_retries_and_gives_one_result(
    worker: Worker, sender: Traffic
) -> None:
    async with ImageServer({"/cat.jpg": noise_jpeg(1)}) as host:
        host.fail("/cat.jpg", 2)
        failing = await sender.send(job(host.url("/cat.jpg"), jobId="cat"), b"key", ORIGIN)
        await ended(worker, sender, failing)
        assert host.requests == ["/cat.jpg"] * 3
    (answer,) = (await sender.all_results())[failing]
    assert answer.body["errorCode"] == 0
    assert answer.body["id"] == failing
    assert answer.body["jobId"] == "cat"
    assert answer.key == b"key"
    assert [answer.header(name) for name, _ in ORIGIN] == ["c-1", "rabbits"]
    topic, partition, offset = failing.rsplit("-", 2)
    assert answer.header("source-topic") == topic == sender.names.jobs
    assert (answer.header("source-partition"), answer.header("source-offset")) == (
        partition,
        offset,
    )
    assert not [name for name, _ in answer.headers if name.startswith("job-retry")]
    assert failing not in await sender.all_letters()
    for delay in ("250ms", "500ms"):
        assert worker.value("classify_retries_total", delay=delay, reason="fetch_failed") >= 1


async def test_after_the_last_retry_the_job_fails_with_its_first_record_as_dead_letter(
    worker: Worker, sender: Traffic
) -> None:
    value = b""
    async with ImageServer({}) as host:
        host.fail("/down.jpg", ALWAYS)
        value = job(host.url("/down.jpg"), jobId="down")
        failing = await sender.send(value, b"key", ORIGIN)
        letter = await sender.letter(failing)
        await ended(worker, sender, failing)
        assert host.requests == ["/down.jpg"] * 3
    (answer,) = (await sender.all_results())[failing]
    assert answer.body["errorCode"] == 502
    assert len((await sender.all_letters())[failing]) == 1
    assert (letter.key, letter.value) == (b"key", value)
    assert letter.headers[: len(ORIGIN)] == ORIGIN
    assert not [name for name, _ in letter.headers if name.startswith("job-retry")]
    _, partition, offset = failing.rsplit("-", 2)
    assert letter.header("dead-letter-source-topic") == sender.names.jobs
    assert letter.header("dead-letter-source-partition") == partition
    assert letter.header("dead-letter-source-offset") == offset
    assert letter.header("dead-letter-attempts") == "3"


async def test_what_will_not_pass_is_answered_at_once(worker: Worker, sender: Traffic) -> None:
    before = worker.value("classify_retries_total")
    async with ImageServer({}) as host:
        missing = await sender.send(job(host.url("/missing.jpg")))
        assert (await sender.result(missing)).body["errorCode"] == 404
        assert host.requests == ["/missing.jpg"]
    assert worker.value("classify_retries_total") == before


async def test_a_producers_own_retry_headers_mean_nothing(worker: Worker, sender: Traffic) -> None:
    forged = (
        ("job-retry-source-topic", b"elsewhere"),
        ("job-retry-source-partition", b"7"),
        ("job-retry-source-offset", b"7"),
        ("job-retry-source-timestamp", b"7"),
        ("job-retry-number", b"2"),
        ("job-retry-attempts", b"9"),
        ("job-retry-not-before-ms", b"99999999999999"),
        ("job-retry-reason", b"fetch_failed"),
        ("job-retry-message", b"forged"),
    )
    async with ImageServer({}) as host:
        host.fail("/down.jpg", ALWAYS)
        good = await sender.send(job(noise_jpeg(2)), headers=forged)
        failing = await sender.send(job(host.url("/down.jpg")), headers=forged)
        assert (await sender.result(good)).body["errorCode"] == 0
        letter = await sender.letter(failing)
        assert host.requests == ["/down.jpg"] * 3, "all retries, although the header says two"
    assert letter.headers[: len(forged)] == forged
    assert letter.header("dead-letter-source-topic") == sender.names.jobs
    assert letter.header("dead-letter-attempts") == "3"


async def test_a_second_record_of_an_answered_job_gets_no_answer(
    worker: Worker, sender: Traffic
) -> None:
    async with HeldImage(noise_jpeg(3)) as held:
        twice = job(held.held_url, jobId="twice")
        first = await sender.send(twice, b"key")
        again = await sender.send(twice, b"key")
        after = await sender.send(job(noise_jpeg(4)), b"key")
        await sender.result(after)
        assert not {first, again} & (await sender.all_results()).keys()
        held.release.set()
        assert (await sender.result(first)).body["errorCode"] == 0
        last = await sender.send(twice, b"key")
        # Both are done without an answer: only then all that was sent is committed.
        await sender.wait_until_committed({0: int(last.rsplit("-", 1)[1]) + 1})
        assert held.requests == ["/held"]
    assert not {again, last} & (await sender.all_results()).keys()
    await asyncio.to_thread(
        worker.wait_for_value, "classify_duplicate_jobs_total", lambda count: count == 2
    )


async def test_a_second_record_of_a_failed_job_is_done(worker: Worker, sender: Traffic) -> None:
    async with ImageServer({}) as host:
        twice = job(host.url("/missing.jpg"), jobId="missing")
        ids = await sender.send_all([twice, twice], b"key")
        results = await sender.results(ids)
        assert host.requests == ["/missing.jpg"] * 2
    assert [results[each][0].body["errorCode"] for each in ids] == [404, 404]


async def test_a_retry_that_waits_while_its_worker_dies_is_not_lost(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    dying = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        **RETRYING,
        WORKER_RETRY__DELAYS="8s",  # until it is killed
        WORKER_KAFKA__GROUP_INSTANCE_ID="one",  # the group does not wait for the one that died
    ).start()
    async with ImageServer({"/cat.jpg": noise_jpeg(1)}) as host:
        host.fail("/cat.jpg", 1)
        await asyncio.to_thread(dying.wait_until_ready)
        failing = await traffic.send(job(host.url("/cat.jpg")))
        await traffic.wait_until_committed({0: 1})
        dying.kill()
        dying.start()
        assert (await traffic.result(failing)).body["errorCode"] == 0
        assert host.requests == ["/cat.jpg"] * 2
    assert len((await traffic.all_results())[failing]) == 1
