"""Images that break the decoder, in the middle of hundreds of good ones from Kafka."""

from __future__ import annotations

import asyncio
from pathlib import Path

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.images import colour_png, job, noise_jpeg
from tests.support.workers import MakeWorker

COLOURS = {
    "decode.segv": "#fe0102",
    "decode.kill": "#02fe01",
    "decode.loop": "#0102fe",
    "decode.memory": "#01fefe",
    "draw.segv": "#fe01fe",
    "draw.kill": "#fe02fe",
}
JOBS = 500


async def test_nothing_but_their_own_jobs_fails_and_nothing_is_lost(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic
) -> None:
    await traffic.create_topics()
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_FAILPOINTS=",".join(f"{name}={colour[1:]}" for name, colour in COLOURS.items()),
        WORKER_DECODE__PROCESSES="2",
        WORKER_DECODE__CPU_SECONDS="1",
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    pid = worker.pid
    jobs = [job(noise_jpeg(seed % 7)) for seed in range(JOBS)]
    places = {}
    for number, (name, colour) in enumerate(COLOURS.items()):
        places[name] = 60 + 40 * number
        jobs[places[name]] = job(colour_png(colour))
    ids = await traffic.send_all(jobs)
    results = await traffic.results(ids)
    assert {len(answers) for answers in results.values()} == {1}
    failed = {}
    for place, record_id in enumerate(ids):
        body = results[record_id][0].body
        if place in places.values():
            failed[place] = body
        else:
            assert body["errorCode"] == 0, body
    for name, place in places.items():
        letter = await traffic.letter(ids[place])
        assert failed[place]["errorCode"] == 422, name
        assert letter.value == jobs[place]
        assert letter.header("dead-letter-reason") == "corrupt_image"
        assert letter.header("dead-letter-stage") == name.partition(".")[0]
        assert letter.header("dead-letter-message") == failed[place]["errorMsg"]
    assert len(await traffic.all_letters()) == len(places)
    told = {name: failed[place]["errorMsg"] for name, place in places.items()}
    assert "it crashes the decoder, also when it is alone (SIGSEGV)" in told["decode.segv"]
    assert "it crashes the encoder, also when it is alone (SIGKILL)" in told["draw.kill"]
    assert "more than 1 s of processor time" in told["decode.loop"]
    assert "MiB of memory" in told["decode.memory"]
    assert worker.pid == pid
    assert worker.exit_status is None
    assert worker.probe("/livez")[0] == worker.probe("/readyz")[0] == 200
    maps = await asyncio.to_thread(Path(f"/proc/{pid}/maps").read_text, "utf-8")
    for codec in ("cv2", "imagecodecs", "simplejpeg", "PIL"):
        assert f"/{codec}" not in maps, "the worker's own process has no codec"
