"""Images made to do harm, between good ones: each costs only itself, and the worker stays up."""

from __future__ import annotations

import asyncio

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import noise_jpeg
from tests.support.specimens import SPECIMENS, large_pictures
from tests.support.workers import MakeWorker

RAW = [("content-type", b"image/jpeg"), ("visualize", b"false")]
DONE = 0
TOO_MUCH, NO_IMAGE, CORRUPT, TOO_LATE = 413, 415, 422, 504
EXPECTED = {
    "a TIFF with a huge tile": {TOO_MUCH},
    "a TIFF with a long strip": {CORRUPT},
    "a PDF of nested forms": {NO_IMAGE},
    "a PNG with a broken animation": {CORRUPT},
    # Seconds of a processor: done, or refused by a limit of time.
    "a JPEG of 85 scans": {DONE, CORRUPT, TOO_LATE},
}


async def test_specimens_between_good_images_cost_only_themselves(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    pictures = large_pictures()
    harmful = {name: make() for name, make in SPECIMENS.items()} | pictures
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, traffic.names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    pid = worker.pid
    sent: dict[str, str] = {}
    good: list[str] = []
    for number, (name, data) in enumerate(harmful.items()):
        good.append(await traffic.send(noise_jpeg(number), headers=RAW))
        sent[name] = await traffic.send(data, headers=RAW)
    # As many at a time as there is room for, of the worst.
    again = await traffic.send_all([harmful["a TIFF with a huge tile"]] * 8, headers=RAW)
    good += await traffic.send_all([noise_jpeg(number) for number in range(20)], headers=RAW)

    results = await traffic.results([*sent.values(), *again, *good])

    codes = {record: answer.body["errorCode"] for record, (answer,) in results.items()}
    assert {codes[record] for record in good} == {DONE}
    assert {codes[record] for record in again} == {TOO_MUCH}
    for name, record in sent.items():
        assert codes[record] in EXPECTED.get(name, {DONE}), (name, results[record][0].body)
    assert worker.exit_status is None
    assert worker.pid == pid
    assert worker.probe("/livez")[0] == worker.probe("/readyz")[0] == 200
    await traffic.wait_until_committed({0: len(sent) + len(again) + len(good)})
