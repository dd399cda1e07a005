"""Small bodies that would cost gigabytes: memory stays bounded, and probes are answered."""

from __future__ import annotations

import asyncio
import gzip
import operator
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest

from tests.support.harness import BOUND, Worker
from tests.support.http_client import JSON, Response, classify
from tests.support.images import base64_of, colour_png
from tests.support.loopback import HeldImage
from tests.support.workers import MakeService

MIB = 1 << 20
PNG = colour_png("#336699")
ZIPPED = {**JSON, "Content-Encoding": "gzip"}
AT_ONCE = 6
SIZE = 30 * MIB
"""About the largest body that is accepted by default, once it is inflated."""

GROWTH = 400 * MIB
"""Six bodies are 190 MiB, and each is there twice for the moment in which it is read."""

PATIENCE = 10.0
"""Seconds for a probe on a machine with other work; half a second is usual. Without bounds it was
fourteen on an idle one."""


@pytest.fixture(scope="module")
def wide(make_service: MakeService) -> Worker:
    """A warm service that takes images as large as by default."""
    service = make_service(WORKER_DECODE__MAX_BYTES=str(20 * MIB))
    service.wait_until_ready()
    return service


@pytest.fixture
async def held() -> AsyncIterator[HeldImage]:
    async with HeldImage(PNG) as server:
        yield server
        server.release.set()


def zipped(text: bytes) -> bytes:
    return gzip.compress(text, 1)


def beside_an_image(more: bytes) -> bytes:
    return b'{"image":"%b",%b}' % (base64_of(PNG).encode(), more)


BODIES = {
    "empty-objects": (beside_an_image(b'"x":[' + b"{}," * (SIZE // 3) + b"{}]"), 413, "besides"),
    "objects": (beside_an_image(b'"x":[' + b'{"":0},' * (SIZE // 7) + b"{}]"), 413, "besides"),
    "strings": (b"[" + b'"",' * (SIZE // 3) + b'""]', 413, "besides"),
    "four-bytes-a-character": (
        b'{"image":"%b\\ud83d\\ude00"}' % (b"A" * (SIZE - 100)),
        400,
        "beyond ASCII",
    ),
    "image-behind": (
        b'{"x":[' + b"{}," * (SIZE // 3) + b'{}],"image":"%b"}' % base64_of(PNG).encode(),
        413,
        "besides",
    ),
    "images": (b"{" + b'"image":"QQ==",' * (SIZE // 15) + b'"image":"QQ=="}', 413, "besides"),
    "depth": (b'{"a":' * (SIZE // 5), 400, "depth limit"),
    "a-file-of-blanks": (
        b'{"image":"%b"}' % base64_of(b"\r" * (19 * MIB)).encode(),
        415,
        "no image that is known",
    ),
    "a-file-of-comments": (
        b'{"image":"%b"}' % base64_of(b"<!---->" * (2 * MIB)).encode(),
        415,
        "no image that is known",
    ),
    "a-file-of-fill-bytes": (
        b'{"image":"%b"}' % base64_of(b"\xff\xd8" + b"\xff" * (19 * MIB)).encode(),
        422,
        "JPEG",
    ),
    "one-escape-a-character": (b'{"image":"%b"}' % (b"\\u0041" * (SIZE // 6 - 10)), 415, "JPEG"),
}


@pytest.mark.parametrize("name", BODIES)
def test_six_at_once(wide: Worker, name: str) -> None:
    text, status, says = BODIES[name]
    body = zipped(text)
    process = psutil.Process(wide.pid)
    before = process.memory_info().rss
    slowest, peak = 0.0, before
    # Threads of its own: probes must not wait for one of them.
    with ThreadPoolExecutor(AT_ONCE) as senders:
        sent = [senders.submit(classify, wide.port, body, ZIPPED) for _ in range(AT_ONCE)]
        while not all(answer.done() for answer in sent):
            began = time.monotonic()
            assert wide.probe("/livez")[0] == 200
            slowest = max(slowest, time.monotonic() - began)
            peak = max(peak, process.memory_info().rss)

    answers: list[Response] = [answer.result() for answer in sent]
    assert peak - before < GROWTH
    assert slowest < PATIENCE
    for answer in answers:
        got, message = answer.failure()
        assert got == status
        assert says in message


async def test_a_body_is_gone_while_its_job_runs(wide: Worker, held: HeldImage) -> None:
    body = zipped(b'{"image":"%b"}' % held.held_url.encode() + b" " * SIZE)
    process = psutil.Process(wide.pid)
    before = process.memory_info().rss
    under_way = []
    for _ in range(AT_ONCE):
        held.asked.clear()
        under_way.append(asyncio.create_task(asyncio.to_thread(classify, wide.port, body, ZIPPED)))
        async with asyncio.timeout(BOUND):
            await held.asked.wait()

    assert wide.value("classify_http_requests_in_flight") == AT_ONCE
    assert wide.value("classify_http_buffered_bytes") == AT_ONCE * len(held.held_url)
    # One body may be left with the allocator, not all of them.
    assert process.memory_info().rss - before < 2.5 * SIZE
    held.release.set()
    assert [(await task).status for task in under_way] == [200] * AT_ONCE
    await asyncio.to_thread(
        wide.wait_for_value, "classify_http_buffered_bytes", partial(operator.eq, 0)
    )
