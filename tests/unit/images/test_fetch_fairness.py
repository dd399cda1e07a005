"""Servers and name servers that take forever hold up their own images and no others."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.support.names import Names
from tests.support.servers import Serve
from worker.errors import JobError, Reason
from worker.images import names as kept_names
from worker.images.allowance import Allowance
from worker.images.fetch import ImageFetcher
from worker.images.names import Info, SystemResolver
from worker.images.places import SLOW
from worker.settings import FetchSettings

BODY = b"\x89PNG" + bytes(1000)
BOUND = 30.0
"""Seconds for what takes far less, so that a failure ends."""

PATIENT: dict[str, object] = {
    "allow_networks": ("127.0.0.0/8",),
    "read_timeout": 60,
    "total_timeout": 60,
    "deadline": 60,
}
"""Drips last longer than the test: what is answered did not wait for one to end."""

IMPATIENT: dict[str, object] = PATIENT | {
    "concurrency": 8,
    "per_host": 2,
    "read_timeout": 0.3,
    "total_timeout": 1,
    "deadline": 1,
    "backoff_initial": 0.01,
    "attempts": 2,
}
"""There are far fewer places than drips, whose time is soon over."""


def settings(*groups: dict[str, object], **changed: object) -> FetchSettings:
    merged: dict[str, object] = {}
    for group in (*groups, changed):
        merged |= group
    return FetchSettings.model_validate(merged)


class Drips:
    """A server that sends a byte now and then; counts the connections that it has."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.changed = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        await reader.readuntil(b"\r\n\r\n")
        await self._count(address, 1)
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        finally:
            await self._count(address, -1)

    async def _count(self, address: str, change: int) -> None:
        self.open[address] += change
        self.most[address] = max(self.most[address], self.open[address])
        async with self.changed:
            self.changed.notify_all()

    async def wait_for(self, connections: int) -> None:
        async with asyncio.timeout(BOUND), self.changed:
            await self.changed.wait_for(lambda: self.open.total() >= connections)


async def image(_: web.Request) -> web.Response:
    return web.Response(body=BODY)


@asynccontextmanager
async def begun(fetcher: ImageFetcher, urls: Sequence[str]) -> Any:
    """Fetches that go on for the block; none may succeed."""
    tasks = [asyncio.create_task(fetcher.fetch(url)) for url in urls]
    await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, JobError | asyncio.CancelledError), outcome


async def fetch_all(fetcher: ImageFetcher, url: str, count: int) -> list[bytes]:
    async with asyncio.timeout(BOUND):
        return await asyncio.gather(*(fetcher.fetch(f"{url}/{n}") for n in range(count)))


async def test_one_host_that_drips_does_not_get_all_places(serve: Serve, serve_raw: Serve) -> None:
    drips = Drips()
    slow = await serve_raw(drips, host="127.0.0.2")
    good = await serve(image)
    async with (
        ImageFetcher(settings(PATIENT)) as fetcher,
        begun(fetcher, [f"{slow}/{n}" for n in range(256)]) as tasks,
    ):
        await drips.wait_for(16)
        assert await fetch_all(fetcher, good, 10) == [BODY] * 10
        assert not any(task.done() for task in tasks)
    assert drips.most.total() == 16


async def test_many_hosts_that_drip_keep_good_images_waiting_but_do_not_fail_them(
    serve: Serve, serve_raw: Serve
) -> None:
    """The wait exceeds `deadline` several times over: it counts for nothing."""
    drips = Drips()
    slow = [await serve_raw(drips, host=f"127.0.1.{n}") for n in range(1, 33)]
    good = await serve(image)
    async with (
        ImageFetcher(settings(IMPATIENT)) as fetcher,
        begun(fetcher, [f"{base}/{n}" for n in range(8) for base in slow]),
    ):
        await drips.wait_for(8)
        assert await fetch_all(fetcher, good, 10) == [BODY] * 10
        # By now the hosts are known to be slow, or tried again and again: still nobody waits long.
        assert await fetch_all(fetcher, good, 10) == [BODY] * 10


async def test_names_of_one_server_are_one_host(serve: Serve, serve_raw: Serve) -> None:
    drips = Drips()
    port = (await serve_raw(drips, host="127.0.0.2")).rpartition(":")[2]
    good = await serve(image)
    hosts = [f"n{n}.example" for n in range(100)]
    names = Names(**{host: ["127.0.0.2"] for host in hosts})
    limits = settings(PATIENT, concurrency=8, per_host=4)
    async with (
        ImageFetcher(limits, resolver=names) as fetcher,
        begun(fetcher, [f"http://{host}:{port}/" for host in hosts]) as tasks,
    ):
        await drips.wait_for(4)
        assert await fetch_all(fetcher, good, 10) == [BODY] * 10
        assert not any(task.done() for task in tasks)
    assert drips.most["127.0.0.2"] == 4


async def test_another_server_at_the_address_of_one_that_drips(
    serve: Serve, serve_raw: Serve
) -> None:
    drips = Drips()
    slow = await serve_raw(drips)
    good = await serve(image)
    async with (
        ImageFetcher(settings(IMPATIENT)) as fetcher,
        begun(fetcher, [f"{slow}/{n}" for n in range(64)]) as tasks,
    ):
        await drips.wait_for(2)
        assert await fetch_all(fetcher, good, 10) == [BODY] * 10
        assert not all(task.done() for task in tasks)


async def test_a_redirect_takes_a_place_where_it_leads_to(serve: Serve, serve_raw: Serve) -> None:
    drips = Drips()
    slow = await serve_raw(drips, host="127.0.0.2")

    async def redirect(request: web.Request) -> web.Response:
        if request.path == "/image":
            return web.Response(body=BODY)
        return web.Response(status=302, headers={"Location": f"{slow}/"})

    base = await serve(redirect)
    limits = settings(PATIENT, per_host=2)
    async with (
        ImageFetcher(limits) as fetcher,
        begun(fetcher, [f"{base}/{n}" for n in range(32)]),
    ):
        await drips.wait_for(2)
        async with asyncio.timeout(BOUND):
            assert await fetcher.fetch(f"{base}/image") == BODY
    assert drips.most["127.0.0.2"] == 2


async def test_hosts_that_redirect_to_each_other_wait_for_each_other_not(serve: Serve) -> None:
    bases: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/image":
            return web.Response(body=BODY)
        other = bases[1] if str(request.url.origin()) == bases[0] else bases[0]
        return web.Response(status=302, headers={"Location": f"{other}/image"})

    bases += [await serve(handler, host=f"127.0.0.{n}") for n in (1, 2)]
    async with ImageFetcher(settings(PATIENT, per_host=1)) as fetcher, asyncio.timeout(BOUND):
        urls = [f"{base}/{n}" for n in range(20) for base in bases]
        assert await asyncio.gather(*map(fetcher.fetch, urls)) == [BODY] * 40


async def test_a_server_below_the_least_speed_is_given_up(serve_raw: Serve) -> None:
    limits = settings(IMPATIENT, total_timeout=60, deadline=60, attempts=1)
    async with ImageFetcher(limits) as fetcher, asyncio.timeout(BOUND):
        with pytest.raises(JobError, match="too slowly") as caught:
            await fetcher.fetch(await serve_raw(Drips()))
    assert caught.value.reason is Reason.FETCH_TIMEOUT
    assert caught.value.transient


@pytest.mark.parametrize("piece", [b"x: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_head_that_comes_in_drips_is_given_up(serve_raw: Serve, piece: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(piece if piece.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    limits = settings(PATIENT, connect_timeout=0.2, read_timeout=0.2, attempts=1)
    async with ImageFetcher(limits) as fetcher, asyncio.timeout(BOUND):
        with pytest.raises(JobError) as caught:
            await fetcher.fetch(await serve_raw(handler))
    assert caught.value.reason is Reason.FETCH_TIMEOUT


async def test_a_slow_image_that_keeps_to_the_least_speed_is_fetched(serve_raw: Serve) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    limits = settings(PATIENT, read_timeout=0.1, attempts=1, min_speed=0)
    async with ImageFetcher(limits) as fetcher, asyncio.timeout(BOUND):
        assert await fetcher.fetch(await serve_raw(handler)) == b"x" * 20


class SilentDomain:
    """A name service that knows `good.example` and hangs for everything else."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self.asked = threading.Semaphore(0)

    def __call__(self, host: str, port: int, *_: int) -> list[Info]:
        if host == "good.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        self.asked.release()
        self.given_up.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")


@pytest.fixture
def silent() -> Iterator[SilentDomain]:
    made = SilentDomain()
    yield made
    made.given_up.set()


@pytest.mark.parametrize("spelled", ["{}.bad.example", "{}.bad.example.", "{}.BAD.example"])
async def test_a_domain_has_its_turns_however_it_is_spelled(
    silent: SilentDomain, spelled: str
) -> None:
    """One that is known to be slow leaves some turns to others."""
    names = kept_names.Names(SystemResolver(silent))
    turns = names._turns  # whose pace would take seconds to learn
    turns._pace["bad.example"] = SLOW + 1
    lookups = [names.look_up(spelled.format(n), 80) for n in range(kept_names.MOST_LOOKUPS)]
    for _ in range(kept_names.MOST_LOOKUPS - kept_names.RESERVED_LOOKUPS):
        await asyncio.to_thread(silent.asked.acquire, timeout=BOUND)
    begun = sum(lookup.begun.done() for lookup in lookups)
    assert begun == kept_names.MOST_LOOKUPS - kept_names.RESERVED_LOOKUPS
    silent.given_up.set()
    await names.close()


@pytest.mark.parametrize("domain", ["n{}.bad.example", "n.bad{}.example", "n.bad.example{}"])
async def test_names_that_are_never_resolved_do_not_hold_up_others(
    serve: Serve, silent: SilentDomain, domain: str
) -> None:
    """256 names: far more than any resolver has threads."""
    good = (await serve(image)).rpartition(":")[2]
    limits = settings(PATIENT, attempts=1)
    async with (
        ImageFetcher(limits, resolver=SystemResolver(silent)) as fetcher,
        begun(fetcher, [f"http://{domain.format(n)}/" for n in range(256)]),
    ):
        for _ in range(64):
            await asyncio.to_thread(silent.asked.acquire, timeout=BOUND)
        wanted = asyncio.create_task(fetch_all(fetcher, f"http://good.example:{good}", 10))
        # As the system's resolver does after a while.
        silent.given_up.set()
        assert await wanted == [BODY] * 10


async def test_a_name_that_is_not_resolved_in_time_is_named(silent: SilentDomain) -> None:
    limits = settings(PATIENT, total_timeout=0.1, attempts=1)
    async with ImageFetcher(limits, resolver=SystemResolver(silent)) as fetcher:
        with pytest.raises(JobError, match=r"'n\.example' cannot be resolved") as caught:
            await fetcher.fetch("http://n.example/")
    assert caught.value.transient
    # Nobody waits for its thread, whenever it ends.
    silent.given_up.set()


async def test_a_name_is_asked_for_once_however_long_its_fetch_waits(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking again, with a place and the attempt's time in hand, could take all of both."""
    monkeypatch.setattr(kept_names, "KEPT", 0.0)
    good = (await serve(image)).rpartition(":")[2]
    names = Names(**{"good.example": ["127.0.0.1"]})
    async with ImageFetcher(settings(PATIENT), resolver=names) as fetcher:
        assert await fetcher.fetch(f"http://good.example:{good}/") == BODY
    assert names.asked == ["good.example"]


async def test_a_lack_of_threads_for_names_passes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (await serve(image)).rpartition(":")[2]
    lacking = [RuntimeError("can't start new thread")]
    start = threading.Thread.start

    def start_later(thread: threading.Thread) -> None:
        if thread.name == "resolve" and lacking:
            raise lacking.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_later)
    limits = settings(PATIENT, backoff_initial=0.01)
    resolver = SystemResolver(SilentDomain())
    async with ImageFetcher(limits, resolver=resolver) as fetcher:
        assert await fetcher.fetch(f"http://good.example:{good}/") == BODY
    assert not lacking


async def test_time_counts_while_running_and_not_while_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    allowance = Allowance(30, 15, expiry=200.0)
    allowance.begin_attempt()
    async with allowance.waiting():
        now += 50
    assert allowance.left == 30
    now += 10
    assert allowance.left == 20
    assert allowance.running().when() == 165
    async with allowance.waiting():
        now += 30
    assert allowance.running().when() == 195
    now += 6
    allowance.begin_attempt()
    assert allowance.left == 4
    assert allowance.running().when() == 200
    assert not allowance.expired
    now += 4
    assert allowance.expired
