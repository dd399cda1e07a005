"""A record that the client library cannot read costs neither the worker nor any other job."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.record import default_records

from tests.integration.conftest import MakeWorker
from tests.integration.harness import Traffic
from tests.integration.images import job, noise_jpeg
from worker.demo.broker import KafkaBroker

JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(20)]


class LatinName(str):
    """A header's name as a producer sends it that knows nothing of UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


async def test_a_header_name_that_is_not_utf8_is_stepped_over_and_answered(
    broker: KafkaBroker,
    make_worker: MakeWorker,
    traffic: Traffic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The one in C takes no subclass of str for a name.
    for module in ("producer", "message_accumulator"):
        monkeypatch.setattr(
            f"aiokafka.producer.{module}.DefaultRecordBatchBuilder",
            default_records._DefaultRecordBatchBuilderPy,
        )
    await traffic.create_topics(partitions=2)
    ids = await traffic.send_all(JOBS[:5], partition=0)
    bad = await traffic.send(JOBS[0], headers=[(LatinName("näme"), b"x")], partition=0)
    ids += await traffic.send_all(JOBS, partition=0)
    ids += await traffic.send_all(JOBS, partition=1)
    worker = make_worker(broker.bootstrap_servers, traffic.names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    results = await traffic.results([*ids, bad])
    assert {answer.body["errorCode"] for i in ids for answer in results[i]} == {0}
    assert {len(answers) for answers in results.values()} == {1}
    body = results[bad][0].body
    assert body["errorCode"] == 400
    assert "not UTF-8" in body["errorMsg"]
    letter = await traffic.letter(bad)
    assert letter.header("dead-letter-reason") == "unreadable"
    assert letter.header("dead-letter-source-offset") == "5"
    await traffic.wait_until_committed({0: 26, 1: 20})
    late = await traffic.send_all(JOBS)
    await traffic.results(late)
    assert worker.value("classify_rebalances_total") == 1
