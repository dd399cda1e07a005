"""How a bare program gets the images of its jobs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import pytest
from aiohttp import web
from aiokafka import ConsumerRecord, TopicPartition

from benchmarks.bare_images import AT_ONCE, open_fetches, read_jobs
from benchmarks.messages import WAYS, Way, job_messages
from tests.support.serving import serving
from worker.contract.records import Message, Record

pytestmark = pytest.mark.component

IMAGES = [b"\xff\xd8 one", b"\x89PNG two", b"\xff\xd8 three"]


class Polls:
    """Gives records, so many at a time; none when there are none left."""

    def __init__(self, messages: Sequence[Message], at_once: int) -> None:
        self._left = [
            ConsumerRecord(
                "jobs", 0, number, 0, 0, None, message.value, None, 0, 0, tuple(message.headers)
            )
            for number, message in enumerate(messages)
        ]
        self._at_once = at_once

    async def __call__(self) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        some, self._left = self._left[: self._at_once], self._left[self._at_once :]
        return {TopicPartition("jobs", 0): some} if some else {}


class Server:
    """Answers only when so many images are asked for at the same time.

    Attributes:
        base: its address.
        most: requests that there were at a time.
    """

    def __init__(self, at_once: int) -> None:
        self.base = ""
        self.most = 0
        self._here = 0
        self._barrier = asyncio.Barrier(at_once)

    async def answer(self, request: web.Request) -> web.Response:
        self._here += 1
        self.most = max(self.most, self._here)
        await self._barrier.wait()
        self._here -= 1
        return web.Response(body=IMAGES[int(request.path[1:]) % len(IMAGES)])


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    server = Server(request.param)
    application = web.Application()
    application.router.add_get("/{number}", server.answer)
    async with serving(application, shutdown_timeout=0.1) as port:
        server.base = f"http://127.0.0.1:{port}"
        yield server


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("server", [1], indirect=True)
async def test_each_job_has_its_image_whatever_way_it_came(way: Way, server: Server) -> None:
    messages = job_messages(way, IMAGES, pictures=True, base=server.base)
    found: list[tuple[Record, bytes]] = []
    async with asyncio.timeout(60), open_fetches() as fetches:
        async for jobs in read_jobs(Polls(messages, 2), fetches):
            found += jobs
            if len(found) == len(IMAGES):
                break
    assert [image for _, image in found] == IMAGES
    assert [record.offset for record, _ in found] == [0, 1, 2]
    assert [record.value for record, _ in found] == [message.value for message in messages]
    assert [record.headers for record, _ in found] == [message.headers for message in messages]


@pytest.mark.parametrize("server", [AT_ONCE], indirect=True)
async def test_as_many_are_fetched_at_once_as_a_worker_may_across_polls(server: Server) -> None:
    # The places are full of the first poll's images and then of both polls': one after the other
    # they would never be.
    each = AT_ONCE * 3 // 2
    messages = job_messages("url", [b"image"] * 2 * each, pictures=False, base=server.base)
    counts = []
    async with asyncio.timeout(60), open_fetches() as fetches:
        async for jobs in read_jobs(Polls(messages, each), fetches):
            counts.append(len(jobs))
            if sum(counts) == 2 * each:
                break
    assert counts == [each, each]
    assert server.most == AT_ONCE


async def test_an_image_that_cannot_be_fetched_ends_the_program() -> None:
    with socket.socket() as bound:
        # It does not listen, and nobody else gets its port.
        bound.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{bound.getsockname()[1]}"
        messages = job_messages("url", [b"image"], pictures=False, base=base)
        with pytest.RaisesGroup(aiohttp.ClientConnectorError):
            async with asyncio.timeout(60), open_fetches() as fetches:
                async for _ in read_jobs(Polls(messages, 1), fetches):
                    pass
