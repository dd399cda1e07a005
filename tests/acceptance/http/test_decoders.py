"""Decoders that hang, and memory that runs short, in a real service."""

from __future__ import annotations

import asyncio
import resource
import signal

import psutil
import pytest

from tests.support.http_client import Response, classify
from tests.support.images import colour_png, job, noise_jpeg
from tests.support.workers import MakeService

HANGS, KILLS = "#fe0102", "#02fe01"


async def send(port: int, body: bytes) -> Response:
    return await asyncio.to_thread(classify, port, body)


async def test_decoders_that_hang_are_answered_and_others_do_not_wait(
    make_service: MakeService,
) -> None:
    service = make_service(
        WORKER_FAILPOINTS=f"decode.hang={HANGS[1:]},decode.kill={KILLS[1:]}",
        WORKER_DECODE__PROCESSES="2",
        WORKER_DECODE__TIMEOUT="6",
    )
    await asyncio.to_thread(service.wait_until_ready)
    hanging = job(colour_png(HANGS), visualize=False)
    good = job(noise_jpeg(0), visualize=False)
    hung = [asyncio.create_task(send(service.port, hanging)) for _ in range(2)]
    others = [asyncio.create_task(send(service.port, good)) for _ in range(20)]
    assert [response.status for response in await asyncio.gather(*others)] == [200] * 20
    assert not any(task.done() for task in hung)
    assert (await asyncio.to_thread(service.probe, "/livez"))[0] == 200
    deadly = await send(service.port, job(colour_png(KILLS), visualize=False))
    status, message = deadly.failure()
    assert status == 422
    assert "it crashes the decoder, also when it is alone (SIGKILL)" in message
    for response in await asyncio.gather(*hung):
        status, message = response.failure()
        assert status == 422
        assert "the decode stage did not end within 6 s" in message
    assert (await asyncio.to_thread(service.probe, "/livez"))[0] == 200
    assert service.value("classify_image_process_restarts_total", cause="timeout") == 4
    service.signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.wait) == 0


@pytest.mark.parametrize("lasts", [False, True])
async def test_a_shortage_of_memory_is_waited_for_and_then_the_workers_fault(
    make_service: MakeService, lasts: bool
) -> None:
    service = make_service(WORKER_DECODE__PROCESSES="1", WORKER_DECODE__MAX_BYTES=str(8 << 20))
    await asyncio.to_thread(service.wait_until_ready)
    # Its pixels take 90 MB. What is free suffices for its text, which is decoded before.
    large = job(noise_jpeg(0, 6000, 5000), visualize=False)
    assert (await send(service.port, job(noise_jpeg(0), visualize=False))).status == 200
    (pid,) = await asyncio.to_thread(service.image_processes)
    mapped = psutil.Process(pid).memory_info().vms
    _, most = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (mapped + 40 * 2**20, most))
    answer = asyncio.create_task(send(service.port, large))
    shortages = "classify_memory_shortages_total"
    await asyncio.to_thread(service.wait_for_value, shortages, lambda count: count >= 1)
    if not lasts:
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
        assert (await answer).status == 200
        return
    status, message = (await answer).failure()
    assert status == 503
    assert "the worker has no memory left for this image; try again later" in message
    assert service.value(shortages, stage="decode") == 5
    assert service.exit_status is None
