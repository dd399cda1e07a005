"""Images that break the predictor: each is found, answered and dead-lettered alone."""

from __future__ import annotations

import asyncio

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import colour_png, job, noise_jpeg
from tests.support.workers import MakeWorker

KILLS, RAISES, HANGS = "#fe0102", "#02fe01", "#0102fe"
FAILPOINTS = ",".join(
    f"predictor.{action}={colour[1:]}"
    for action, colour in [("kill", KILLS), ("raise", RAISES), ("hang", HANGS)]
)


async def test_a_poison_image_is_dead_lettered_alone_and_its_batch_is_answered(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_FAILPOINTS=FAILPOINTS,
        WORKER_PREDICTOR__TIMEOUT="2",
        WORKER_BATCHING__MAX_BATCH="4",
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    restarts = "classify_predictor_restarts_total"
    told: dict[str, str] = {}
    for colour in (KILLS, RAISES, HANGS):
        good = [job(noise_jpeg(seed), visualize=False) for seed in range(9)]
        poison = job(colour_png(colour), visualize=False)
        ids = await traffic.send_all([*good[:5], poison, *good[5:]])
        results = await traffic.results(ids)
        assert {len(answers) for answers in results.values()} == {1}
        codes = [results[record_id][0].body["errorCode"] for record_id in ids]
        assert codes == [0] * 5 + [500] + [0] * 4
        letter = await traffic.letter(ids[5])
        assert letter.value == poison
        assert letter.header("dead-letter-stage") == "infer"
        assert letter.header("dead-letter-reason") == "poison"
        # At least twice, alone if it was alone; at most once per halving of a batch of 4, and once
        # for the second chance.
        assert 2 <= int(letter.header("dead-letter-attempts") or 0) <= 4
        told[colour] = letter.header("dead-letter-message") or ""
        assert results[ids[5]][0].body["errorMsg"] == told[colour]
    assert len(await traffic.all_letters()) == 3
    assert "signal 9" in told[KILLS]
    assert "failpoint predictor.raise" in told[RAISES]
    assert "did not answer within 2 s" in told[HANGS]
    assert worker.value(restarts, cause="crash") >= 2
    assert worker.value(restarts, cause="timeout") >= 2
    # A dead letter can be read before the worker has heard that it was acknowledged.
    await asyncio.to_thread(
        worker.wait_for_value,
        "classify_dead_letters_total",
        lambda letters: letters == 3,
        stage="infer",
        reason="poison",
    )
    assert worker.exit_status is None
    assert worker.probe("/livez")[0] == worker.probe("/readyz")[0] == 200
