"""The HTTP server under load, with clients that leave or dawdle, while it starts and stops."""

from __future__ import annotations

import asyncio
import operator
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.harness import Worker
from tests.support.http_client import (
    Response,
    ask,
    classify,
    connected,
    head,
    read_response,
)
from tests.support.images import colour_png, job
from tests.support.loopback import HeldArchive, HeldImage
from tests.support.workers import MakeService

PNG = colour_png("#336699")
MIB = 1 << 20


@pytest.fixture
async def held() -> AsyncIterator[HeldImage]:
    """An image that its server holds back: a request for it is under way until it is released."""
    async with HeldImage(PNG) as server:
        yield server
        server.release.set()


@pytest.fixture(scope="module")
def narrow(make_service: MakeService) -> Worker:
    """A warm service with little room and little patience."""
    service = make_service(
        WORKER_HTTP__MAX_JOBS="2",
        WORKER_HTTP__MAX_BYTES=str(MIB // 2),
        WORKER_HTTP__READ_TIMEOUT="4",
    )
    service.wait_until_ready()
    return service


async def send(service: Worker, body: bytes) -> Response:
    return await asyncio.to_thread(classify, service.port, body)


def warm(service: Worker) -> Worker:
    service.wait_until_ready()
    return service


def assert_turned_away(response: Response, why: str) -> None:
    status, message = response.failure()
    assert status == 503
    assert why in message
    assert int(response.headers["retry-after"]) >= 1


async def test_no_room_for_another_request(narrow: Worker, held: HeldImage) -> None:
    under_way = []
    for _ in range(2):
        held.asked.clear()
        under_way.append(asyncio.create_task(send(narrow, job(held.held_url))))
        await held.asked.wait()

    assert_turned_away(await send(narrow, job(PNG)), "no room")
    assert narrow.value("classify_http_requests_in_flight") == 2
    assert narrow.value("classify_http_buffered_bytes") > 0
    held.release.set()
    assert [response.status for response in await asyncio.gather(*under_way)] == [200, 200]
    assert (await send(narrow, job(PNG))).status == 200
    for held_now in ("classify_http_requests_in_flight", "classify_http_buffered_bytes"):
        await asyncio.to_thread(narrow.wait_for_value, held_now, partial(operator.eq, 0))


def test_no_room_for_more_bytes(narrow: Worker, small_request: bytes) -> None:
    with connected(narrow.port) as first:
        # Announces much and sends little: that takes no room from others.
        first.sendall(head(MIB) + small_request)
        assert classify(narrow.port, small_request).status == 200
    large = b" " * (MIB * 3 // 4) + small_request
    assert_turned_away(classify(narrow.port, large), "no room")
    assert classify(narrow.port, small_request).status == 200


async def test_request_while_the_model_loads(make_service: MakeService, tmp_path: Path) -> None:
    name = "PP-LCNet_x0_25"
    async with HeldArchive(name, bytes(1000)) as never_released:
        service = make_service(
            WORKER_MODEL=name,
            WORKER_MODEL_CACHE=str(tmp_path),
            WORKER_ZOO__BASE_URL=never_released.url(""),
            NO_PROXY="127.0.0.1",
        )
        port = await asyncio.to_thread(lambda: service.port)

        assert_turned_away(await send(service, job(PNG)), "loading its model")
        assert_turned_away(await asyncio.to_thread(ask, port, "GET", "/health"), "not warm")
        service.kill()


async def test_client_that_leaves_is_withdrawn(narrow: Worker, held: HeldImage) -> None:
    images = narrow.value("classify_images_total")
    gone = narrow.value("classify_http_requests_total", reason="disconnected")
    body = job(held.held_url)
    for _ in range(3):
        held.asked.clear()
        with connected(narrow.port) as client:
            client.sendall(head(len(body)) + body)
            await held.asked.wait()
        gone += 1
        await asyncio.to_thread(
            narrow.wait_for_value,
            "classify_http_requests_total",
            partial(operator.eq, gone),
            reason="disconnected",
        )

    assert (await send(narrow, job(PNG))).status == 200
    assert narrow.value("classify_images_total") == images + 1


def test_client_that_leaves_while_waiting_for_a_batch(make_service: MakeService) -> None:
    service = warm(make_service(WORKER_BATCHING__MAX_BATCH="1"))
    before = service.value("classify_images_total")
    body = job(PNG)
    (predictor,) = map(psutil.Process, service.predictors())
    predictor.suspend()
    with connected(service.port) as first:
        first.sendall(head(len(body)) + body)
        service.wait_for_value("classify_batches_total", lambda n: n == 1)
        with connected(service.port) as second:
            second.sendall(head(len(body)) + body)
            service.wait_for_value("classify_ready_images", lambda n: n == 1)
        service.wait_for_value(
            "classify_http_requests_total", lambda n: n == 1, reason="disconnected"
        )
        predictor.resume()
        assert read_response(first).status == 200

    assert classify(service.port, body).status == 200
    assert service.value("classify_images_total") - before == 2


def test_body_larger_than_announced_limit_is_not_read(service: Worker) -> None:
    with connected(service.port) as connection:
        connection.sendall(head(100 * MIB))
        status, message = read_response(connection).failure()

    assert status == 413
    assert "send a smaller image" in message


def test_chunked_body_is_cut_off_at_the_limit(service: Worker) -> None:
    chunk = b"%x\r\n%b\r\n" % (MIB, b" " * MIB)
    with connected(service.port) as connection:
        connection.sendall(head(None, "Transfer-Encoding: chunked") + 2 * chunk)
        assert read_response(connection).failure()[0] == 413


def test_refusal_before_the_body_is_sent(service: Worker) -> None:
    with connected(service.port) as connection:
        connection.sendall(head(100 * MIB, "Expect: 100-continue"))
        # No "100 Continue" comes before it.
        assert connection.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 413"
        assert read_response(connection).failure()[0] == 413


def test_body_that_is_too_slow(narrow: Worker) -> None:
    with connected(narrow.port) as connection:
        connection.sendall(head(1000) + b"{")
        status, message = read_response(connection).failure()

    assert status == 408
    assert "within 4 s" in message


def test_half_a_body_is_no_request(service: Worker, small_request: bytes) -> None:
    before = service.value("classify_http_requests_total", reason="disconnected")
    with connected(service.port) as connection:
        connection.sendall(head(1000) + b"{")

    service.wait_for_value(
        "classify_http_requests_total", lambda n: n == before + 1, reason="disconnected"
    )
    assert classify(service.port, small_request).status == 200


def test_many_requests_on_one_connection(service: Worker, small_request: bytes) -> None:
    request = head(len(small_request)) + small_request
    bad = head(2) + b"{}"
    with connected(service.port) as connection:
        statuses = []
        for one in (request, bad, request):
            connection.sendall(one)
            statuses.append(read_response(connection).status)

    assert statuses == [200, 422, 200]


def test_pipelined_requests_are_answered_in_order(service: Worker, small_request: bytes) -> None:
    request = head(len(small_request)) + small_request
    last = head(2, "Connection: close") + b"{}"
    with connected(service.port) as connection:
        connection.sendall(request + request + last)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"200", b"200", b"422"]


async def test_stopping_answers_what_is_under_way(
    make_service: MakeService, held: HeldImage
) -> None:
    service = warm(make_service())
    under_way = asyncio.create_task(send(service, job(held.held_url)))
    await held.asked.wait()

    service.signal(signal.SIGTERM)
    await asyncio.to_thread(service.wait_for_event, "stopping")
    assert_turned_away(await send(service, job(PNG)), "is stopping")
    assert service.probe("/readyz") == (503, "draining\n")
    held.release.set()

    assert (await under_way).status == 200
    assert await asyncio.to_thread(service.wait) == 0


def test_idle_connections_do_not_hold_up_the_end(make_service: MakeService) -> None:
    service = warm(make_service())
    with connected(service.port) as connection, connected(service.port):
        connection.sendall(head(2) + b"{}")
        read_response(connection)
        began = time.monotonic()
        service.signal(signal.SIGTERM)

        assert service.wait() == 0
    assert time.monotonic() - began < 10
