from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from tests.support.servers import RawHandler, Serve
from worker.clock import Clock
from worker.errors import JobError, Reason, Stage
from worker.images.fetch import ImageFetcher
from worker.settings import FetchSettings

BODY = b"\x89PNG" + bytes(range(256)) * 40


def settings(**changed: object) -> FetchSettings:
    """Quick to give up, and 127.0.0.1 is allowed."""
    defaults: dict[str, object] = {
        "allow_networks": ("127.0.0.1/32",),
        "attempts": 1,
        "connect_timeout": 5,
        "read_timeout": 5,
        "total_timeout": 5,
        "deadline": 30,
    }
    return FetchSettings.model_validate(defaults | changed)


class Naps:
    """Sleeps that take no time and are remembered."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


async def failure(url: str, until: float | None = None, **changed: object) -> JobError:
    naps = Naps()
    async with ImageFetcher(settings(**changed), clock=Clock(sleep=naps)) as fetcher:
        with pytest.raises(JobError) as caught:
            await fetcher.fetch(url, until)
    return caught.value


async def image(_: web.Request) -> web.Response:
    return web.Response(body=BODY)


def answering(status: int, **headers: str) -> Callable[[web.Request], Any]:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(
            status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return handler


async def test_the_bytes_come_back_as_they_are(serve: Serve) -> None:
    base = await serve(image)
    async with ImageFetcher(settings()) as fetcher:
        assert await fetcher.fetch(f"{base}/a.png") == BODY


async def test_a_fetcher_outside_its_block_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await ImageFetcher(settings()).fetch("http://127.0.0.1:9/")


async def test_what_is_sent(serve: Serve) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=BODY, headers={"Set-Cookie": "session=1; Path=/"})

    base = await serve(handler)
    path = "/a%20b/%7Ec.jpg?X-Signature=a%2Bb%2Fc%3D&name=x%20y+z"
    async with ImageFetcher(settings(user_agent="tester/1")) as fetcher:
        for _ in range(2):
            await fetcher.fetch(f"{base}{path}#part")
    for request in seen:
        assert request.raw_path == path  # a signed URL must arrive to the letter
        assert request.method == "GET"
        assert request.headers["User-Agent"] == "tester/1"
        assert request.headers["Accept-Encoding"] == "identity"
        assert "avif" not in request.headers["Accept"]
        assert "Cookie" not in request.headers
        assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "reason", "transient"),
    [
        (404, Reason.NOT_FOUND, False),
        (410, Reason.NOT_FOUND, False),
        (400, Reason.FETCH_REFUSED, False),
        (401, Reason.FETCH_REFUSED, False),
        (403, Reason.FETCH_REFUSED, False),
        (451, Reason.FETCH_REFUSED, False),
        (204, Reason.FETCH_REFUSED, False),
        (206, Reason.FETCH_REFUSED, False),
        (304, Reason.FETCH_REFUSED, False),
        (408, Reason.FETCH_FAILED, True),
        (425, Reason.FETCH_FAILED, True),
        (429, Reason.FETCH_FAILED, True),
        (500, Reason.FETCH_FAILED, True),
        (503, Reason.FETCH_FAILED, True),
        (599, Reason.FETCH_FAILED, True),
    ],
)
async def test_statuses(serve: Serve, status: int, reason: Reason, transient: bool) -> None:
    base = await serve(answering(status))
    error = await failure(base, attempts=3)
    assert error.reason is reason
    assert error.transient is transient
    assert error.attempts == (3 if transient else 1)
    assert str(status) in error.message


class TestRetries:
    async def test_a_server_that_recovers_is_forgiven(self, serve: Serve) -> None:
        answers = [503, 500, 200]

        async def handler(_: web.Request) -> web.Response:
            return web.Response(status=answers.pop(0), body=BODY)

        naps = Naps()
        base = await serve(handler)
        changed = settings(attempts=4, backoff_initial=0.2, backoff_max=5)
        async with ImageFetcher(changed, clock=Clock(sleep=naps)) as fetcher:
            assert await fetcher.fetch(base) == BODY
        assert len(naps.taken) == 2
        assert 0 <= naps.taken[0] <= 0.2
        assert 0 <= naps.taken[1] <= 0.4

    async def test_permanent_failures_are_not_tried_again(self, serve: Serve) -> None:
        requests = 0

        async def handler(_: web.Request) -> web.Response:
            nonlocal requests
            requests += 1
            return web.Response(status=404)

        base = await serve(handler)
        assert (await failure(base, attempts=5)).attempts == 1
        assert requests == 1

    async def test_retry_after_is_honoured(self, serve: Serve) -> None:
        answers = [429, 200]

        async def handler(_: web.Request) -> web.Response:
            return web.Response(status=answers.pop(0), body=BODY, headers={"Retry-After": "7"})

        naps = Naps()
        base = await serve(handler)
        async with ImageFetcher(settings(attempts=4), clock=Clock(sleep=naps)) as fetcher:
            assert await fetcher.fetch(base) == BODY
        assert naps.taken == [7.0]

    async def test_retry_after_beyond_the_deadline_fails_at_once(self, serve: Serve) -> None:
        base = await serve(answering(503, Retry_After="3600"))
        error = await failure(base, attempts=4, deadline=30)
        assert error.reason is Reason.FETCH_FAILED
        assert error.attempts == 1

    async def test_retry_after_beyond_the_jobs_deadline_fails_at_once(self, serve: Serve) -> None:
        base = await serve(answering(503, Retry_After="20"))
        error = await failure(base, time.time() + 10, attempts=4, deadline=30)
        assert error.reason is Reason.FETCH_FAILED
        assert error.attempts == 1

    async def test_the_deadline_for_all_attempts_is_kept(self, serve: Serve) -> None:
        async def handler(_: web.Request) -> web.Response:
            await asyncio.sleep(30)
            return web.Response()

        base = await serve(handler)
        began = time.monotonic()
        error = await failure(
            base, attempts=100, total_timeout=0.2, deadline=3, backoff_initial=0.001
        )
        assert error.reason is Reason.FETCH_TIMEOUT
        assert error.attempts >= 2
        assert time.monotonic() - began < 15


class TestDeadline:
    async def test_a_deadline_in_the_past_sends_nothing(self, serve: Serve) -> None:
        requests = 0

        async def handler(_: web.Request) -> web.Response:
            nonlocal requests
            requests += 1
            return web.Response(body=BODY)

        base = await serve(handler)
        async with ImageFetcher(settings(), clock=Clock(wall=lambda: 1000.0)) as fetcher:
            with pytest.raises(JobError) as caught:
                await fetcher.fetch(base, 999.0)
            assert caught.value.reason is Reason.DEADLINE_EXCEEDED
            assert requests == 0
            assert await fetcher.fetch(base, 1060.0) == BODY

    async def test_it_ends_an_attempt(self, serve_raw: Serve) -> None:
        base = await serve_raw(silence)
        async with ImageFetcher(settings(attempts=4), clock=Clock(wall=lambda: 1000.0)) as fetcher:
            with pytest.raises(JobError) as caught:
                await fetcher.fetch(base, 1000.2)
        assert caught.value.reason is Reason.DEADLINE_EXCEEDED
        assert caught.value.as_failure().stage is Stage.FETCH
        assert caught.value.attempts == 1

    async def test_it_ends_the_wait_for_a_host(self, serve_raw: Serve) -> None:
        base = await serve_raw(silence)
        async with ImageFetcher(settings(per_host=1)) as fetcher:
            first = asyncio.create_task(fetcher.fetch(base))
            await asyncio.sleep(0)
            with pytest.raises(JobError) as caught:
                await fetcher.fetch(base, time.time() + 0.1)
            assert caught.value.reason is Reason.DEADLINE_EXCEEDED
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first


async def silence(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless_continues(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


class TestTimeouts:
    async def test_silence(self, serve_raw: Serve) -> None:
        error = await failure(await serve_raw(silence), read_timeout=0.2)
        assert error.reason is Reason.FETCH_TIMEOUT
        assert error.transient

    @pytest.mark.parametrize("server", [trickle, endless_headers, endless_continues])
    async def test_a_server_that_never_ends(self, serve_raw: Serve, server: RawHandler) -> None:
        error = await failure(await serve_raw(server), total_timeout=0.3)
        assert error.reason is Reason.FETCH_TIMEOUT

    async def test_connecting(self, full_backlog: str) -> None:
        error = await failure(full_backlog, connect_timeout=0.2)
        assert error.reason is Reason.FETCH_TIMEOUT


class TestSize:
    async def test_the_announced_size_is_believed_when_it_is_too_large(
        self, serve_raw: Serve
    ) -> None:
        async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(60)  # nothing else comes: the header must do

        error = await failure(await serve_raw(handler), max_bytes=1000, attempts=3)
        assert error.reason is Reason.TOO_LARGE
        assert error.attempts == 1

    @pytest.mark.parametrize("chunked", [True, False])
    async def test_an_endless_stream_is_cut_off(self, serve_raw: Serve, chunked: bool) -> None:
        async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            writer.write(b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n")
            while True:
                writer.write(b"400\r\n" + bytes(1024) + b"\r\n" if chunked else bytes(1024))
                await writer.drain()

        error = await failure(await serve_raw(handler), max_bytes=100_000)
        assert error.reason is Reason.TOO_LARGE

    async def test_the_limit_itself_is_allowed(self, serve: Serve) -> None:
        base = await serve(image)
        async with ImageFetcher(settings(max_bytes=len(BODY))) as fetcher:
            assert await fetcher.fetch(base) == BODY
        assert (await failure(base, max_bytes=len(BODY) - 1)).reason is Reason.TOO_LARGE

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP, gzip"])
    async def test_a_compressed_answer_is_refused(self, serve: Serve, encoding: str) -> None:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(body=BODY, headers={"Content-Encoding": encoding})

        error = await failure(await serve(handler))
        assert error.reason is Reason.FETCH_REFUSED
        assert encoding.lower() in error.message

    @pytest.mark.parametrize("encoding", ["identity", "aws-chunked", ""])
    async def test_encodings_that_are_none(self, serve: Serve, encoding: str) -> None:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(body=BODY, headers={"Content-Encoding": encoding})

        async with ImageFetcher(settings()) as fetcher:
            assert await fetcher.fetch(await serve(handler)) == BODY


class TestConcurrency:
    @pytest.mark.parametrize(("per_host", "concurrency", "most"), [(2, 10, 2), (10, 3, 3)])
    async def test_no_more_at_a_time_than_allowed(
        self, serve: Serve, per_host: int, concurrency: int, most: int
    ) -> None:
        running = highest = 0
        full, go_on = asyncio.Event(), asyncio.Event()

        async def handler(_: web.Request) -> web.Response:
            nonlocal running, highest
            running += 1
            highest = max(highest, running)
            if running == most:
                full.set()
            await go_on.wait()
            running -= 1
            return web.Response(body=BODY)

        base = await serve(handler)
        limited = settings(per_host=per_host, concurrency=concurrency)
        async with ImageFetcher(limited) as fetcher, asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(fetcher.fetch(base))
            async with asyncio.timeout(5):
                await full.wait()
            for _ in range(100):
                await asyncio.sleep(0)
            go_on.set()
        assert highest == most

    async def test_waiting_for_a_host_uses_up_no_time_of_an_attempt(self, serve: Serve) -> None:
        async def handler(_: web.Request) -> web.Response:
            await asyncio.sleep(0.3)
            return web.Response(body=BODY)

        base = await serve(handler)
        limited = settings(per_host=1, total_timeout=3, deadline=3, read_timeout=3)
        async with ImageFetcher(limited) as fetcher:
            bodies = await asyncio.gather(*(fetcher.fetch(base) for _ in range(12)))
        assert bodies == [BODY] * 12

    async def test_cancelled_fetches_free_their_places(self, serve: Serve) -> None:
        started = asyncio.Event()

        async def handler(request: web.Request) -> web.Response:
            if request.path == "/slow":
                started.set()
                await asyncio.sleep(60)
            return web.Response(body=BODY)

        base = await serve(handler)
        async with ImageFetcher(settings(per_host=1, concurrency=1)) as fetcher:
            slow = asyncio.create_task(fetcher.fetch(f"{base}/slow"))
            async with asyncio.timeout(5):
                await started.wait()
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            async with asyncio.timeout(5):
                assert await fetcher.fetch(base) == BODY
