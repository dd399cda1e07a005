"""What the client library cannot read costs neither the worker nor any other job."""

from __future__ import annotations

import asyncio

import pytest

from demo.broker import KafkaBroker
from tests.support.batches import Content, LatinName, allow_odd_names, send_batch
from tests.support.harness import Traffic
from tests.support.images import job, noise_jpeg
from tests.support.segments import Segment
from tests.support.workers import MakeWorker

JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(20)]


def flip(batch: bytearray) -> None:
    batch[-1] ^= 1


@pytest.mark.parametrize("compression", [None, "zstd"])
async def test_a_header_name_that_is_not_utf8_costs_nobody_anything(
    broker: KafkaBroker,
    make_worker: MakeWorker,
    traffic: Traffic,
    monkeypatch: pytest.MonkeyPatch,
    compression: str | None,
) -> None:
    """A good job and a bad one with such a name, each among 18 others in the same batch."""
    allow_odd_names(monkeypatch)
    await traffic.create_topics(partitions=2)
    good: list[Content] = [(b"key", value, [("tenant", b"a")]) for value in JOBS[:18]]
    odd: list[tuple[str, bytes]] = [(LatinName("näme"), b"x"), (LatinName("näme"), b"y")]
    records = [*good, (b"odd", JOBS[0], odd), *good, (b"bad", b"no JSON", odd), *good]
    worker = make_worker(broker.bootstrap_servers, traffic.names).start()
    ids = await send_batch(broker.bootstrap_servers, traffic.names.jobs, 0, records, compression)
    await asyncio.to_thread(worker.wait_until_ready)
    results = await traffic.results(ids)
    assert {len(answers) for answers in results.values()} == {1}
    codes = [results[each][0].body["errorCode"] for each in ids]
    assert codes == [*[0] * 37, 400, *[0] * 18]
    assert results[ids[18]][0].key == b"odd"
    assert results[ids[18]][0].headers[-2:] == (("n\\xe4me", b"x"), ("n\\xe4me", b"y"))
    letter = await traffic.letter(ids[37])
    assert (letter.key, letter.value) == (b"bad", b"no JSON")
    assert letter.headers[:2] == (("n\\xe4me", b"x"), ("n\\xe4me", b"y"))
    assert letter.header("dead-letter-reason") == "not_json"
    assert (await traffic.all_letters()).keys() == {ids[37]}
    await traffic.wait_until_committed({0: 56, 1: 0})
    assert worker.value("classify_rebalances_total") == 1


async def test_a_damaged_partition_is_named_and_others_go_on(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics(partitions=2)
    before = await traffic.send(JOBS[0], partition=0)
    damaged = await traffic.send(JOBS[1], partition=0)
    behind = await traffic.send(JOBS[2], partition=0)
    others = await traffic.send_all(JOBS[:12], partition=1)
    segment = Segment(broker, names.jobs, 0)
    whole = segment.read()
    segment.damage_batch(1, flip)
    worker = make_worker(broker.bootstrap_servers, names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    results = await traffic.results([before, *others])
    assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
    unreadable = "classify_partition_unreadable"
    await asyncio.to_thread(worker.wait_for_value, unreadable, lambda n: n == 1, partition="0")
    assert worker.value(unreadable, topic=names.jobs, partition="1") == 0
    named = await asyncio.to_thread(worker.wait_for_event, "partition_unreadable")
    assert len(worker.events("partition_unreadable")) == 1
    assert (named["topic"], named["partition"], named["offset"]) == (names.jobs, 0, 1)
    assert named["level"] == "error"
    assert '"offset": 2' in named["remedy"]
    assert worker.probe("/livez")[0] == worker.probe("/readyz")[0] == 200
    late = await traffic.send_all(JOBS[12:], partition=1)
    await traffic.results(late)
    await traffic.wait_until_committed({0: 1, 1: 20})
    segment.restore(whole)
    results = await traffic.results([damaged, behind])
    assert {answer.body["errorCode"] for (answer,) in results.values()} == {0}
    await asyncio.to_thread(worker.wait_for_value, unreadable, lambda n: n == 0, partition="0")
    await traffic.wait_until_committed({0: 3, 1: 20})
    assert worker.value("classify_rebalances_total") == 1


async def test_a_worker_with_nothing_else_left_ends_and_says_what_to_do(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    names = traffic.names
    await traffic.create_topics()
    before = await traffic.send(JOBS[0])
    await traffic.send(JOBS[1])
    Segment(broker, names.jobs, 0).damage_batch(1, flip)
    worker = make_worker(
        broker.bootstrap_servers,
        names,
        WORKER_KAFKA__SESSION_TIMEOUT="6",
        WORKER_KAFKA__HEARTBEAT_INTERVAL="1",
    ).start()
    assert await asyncio.to_thread(worker.wait) == 3
    await traffic.result(before)
    await traffic.wait_until_committed({0: 1})
    text = worker.log_path.read_text("utf-8")
    assert "Traceback" not in text
    last = text.splitlines()[-1]
    assert f"partition 0 of topic {names.jobs} cannot be read at offset 1" in last
    assert "kafka-delete-records.sh" in last
