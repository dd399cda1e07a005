"""Decoders that hang, and memory that runs short, in a real service."""

from __future__ import annotations

import asyncio
import resource
import signal
import time

import psutil
import pytest

from tests.support.http_client import Response, classify
from tests.support.images import colour_png, job, noise_jpeg
from tests.support.workers import MakeService

HANGS = "#fe0102"


async def send(port: int, body: bytes) -> Response:
    return await asyncio.to_thread(classify, port, body)


async def test_decoders_that_hang_are_answered_and_liveness_tells(
    make_service: MakeService,
) -> None:
    service = make_service(
        WORKER_FAILPOINTS=f"decode.hang={HANGS[1:]}",
        WORKER_DECODE__THREADS="2",
        WORKER_DECODE__TIMEOUT="5",
    )
    await asyncio.to_thread(service.wait_until_ready)
    assert service.probe("/livez")[0] == 200
    hanging = job(colour_png(HANGS), visualize=False)
    good = job(noise_jpeg(0), visualize=False)
    hung = [asyncio.create_task(send(service.port, hanging)) for _ in range(2)]
    others = [asyncio.create_task(send(service.port, good)) for _ in range(20)]
    for response in await asyncio.gather(*hung):
        status, message = response.failure()
        assert status == 500
        assert "the decode stage did not end within 5 s" in message
    status, body = await asyncio.to_thread(service.probe, "/livez")
    assert status == 503
    assert "decoding or drawing an image makes no progress" in body
    assert [response.status for response in await asyncio.gather(*others)] == [200] * 20
    # And it ends in order, although two threads never do.
    began = time.monotonic()
    service.signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.wait) == 0
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("lasts", [False, True])
async def test_a_shortage_of_memory_is_waited_for_and_then_the_workers_fault(
    make_service: MakeService, lasts: bool
) -> None:
    service = make_service(WORKER_DECODE__THREADS="1", WORKER_DECODE__MAX_BYTES=str(8 << 20))
    await asyncio.to_thread(service.wait_until_ready)
    # Its pixels take 90 MB: more than what glibc sets aside for each thread, 64 MiB. What is free
    # suffices for its text, which is read and decoded before.
    large = job(noise_jpeg(0, 6000, 5000), visualize=False)
    mapped = psutil.Process(service.pid).memory_info().vms
    free = (mapped + 40 * 2**20, resource.RLIM_INFINITY)
    resource.prlimit(service.pid, resource.RLIMIT_AS, free)
    answer = asyncio.create_task(send(service.port, large))
    shortages = "classify_memory_shortages_total"
    await asyncio.to_thread(service.wait_for_value, shortages, lambda count: count >= 1)
    if not lasts:
        resource.prlimit(service.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        assert (await answer).status == 200
        return
    status, message = (await answer).failure()
    assert status == 503
    assert "the worker has no memory left for this image; try again later" in message
    assert service.value(shortages, stage="decode") == 5
    assert service.exit_status is None
