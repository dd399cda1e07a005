"""Jobs as a bare program reads them: parsed, each with its image, which may have to be fetched.

Nothing is checked, bounded or tried again. What is fetched comes through a bare aiohttp client that
keeps its connections, as many at once as a worker fetches from one host.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pybase64
from aiokafka import ConsumerRecord, TopicPartition

from benchmarks.bare_work import Jobs
from worker.contract.headers import CONTENT_TYPE
from worker.contract.records import Record
from worker.settings import FetchSettings

__all__ = ["AT_ONCE", "Fetches", "Poll", "open_fetches", "read_jobs"]

AT_ONCE = min(FetchSettings().per_host, FetchSettings().concurrency)
"""Fetches at a time, as in a worker whose images all come from one host."""

Poll = Callable[[], Awaitable[Mapping[TopicPartition, Sequence[ConsumerRecord]]]]
"""Gives the next records, none if there are none for a while."""


class _Polled:
    """The jobs of one poll.

    Args:
        images: those that are here; empty in the place of others.
        missing: how many others there are.

    Attributes:
        complete: the jobs, when all images are here.
    """

    def __init__(self, records: Sequence[Record], images: list[bytes], missing: int) -> None:
        self._records, self._images, self._missing = records, images, missing
        self.complete: asyncio.Future[Jobs] = asyncio.get_running_loop().create_future()
        self._complete()

    def put(self, number: int, image: bytes) -> None:
        """Take in a missing image."""
        self._images[number] = image
        self._missing -= 1
        self._complete()

    def _complete(self) -> None:
        if not self._missing:
            self.complete.set_result(list(zip(self._records, self._images, strict=True)))


class Fetches:
    """Fetches images of several polls; made by `open_fetches`."""

    def __init__(self) -> None:
        self._wanted: asyncio.Queue[tuple[_Polled, int, str]] = asyncio.Queue()

    def begin(self, records: Sequence[Record], images: Sequence[bytes | str]) -> _Polled:
        """Begin to fetch what is missing.

        Args:
            images: of the records: bytes, or an address.
        """
        missing = [(each, url) for each, url in enumerate(images) if isinstance(url, str)]
        here = [b"" if isinstance(image, str) else image for image in images]
        polled = _Polled(records, here, len(missing))
        for number, url in missing:
            self._wanted.put_nowait((polled, number, url))
        return polled

    async def work(self, session: aiohttp.ClientSession) -> None:
        """Fetch one image after the other, without end."""
        while True:
            polled, number, url = await self._wanted.get()
            async with session.get(url) as response:
                polled.put(number, await response.read())


@asynccontextmanager
async def open_fetches() -> AsyncIterator[Fetches]:
    """Open a client, with `AT_ONCE` tasks: a task for each image would cost more.

    An image that cannot be fetched ends the block with an error.
    """
    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        raise_for_status=True,
    )
    async with client as session, asyncio.TaskGroup() as tasks:
        fetches = Fetches()
        working = [tasks.create_task(fetches.work(session)) for _ in range(AT_ONCE)]
        try:
            yield fetches
        finally:
            for each in working:
                each.cancel()


async def read_jobs(poll: Poll, fetches: Fetches) -> AsyncIterator[Jobs]:
    """Read jobs without end, those of one poll at a time.

    Where images are fetched, those of the next poll are begun before these are waited for: else all
    places but one would be empty until the last fetch of each poll has ended.
    """
    ahead: _Polled | None = None
    while True:
        polled = [record for records in (await poll()).values() for record in records]
        records, images = [_record(each) for each in polled], [_image(each) for each in polled]
        before, ahead = ahead, fetches.begin(records, images)
        if before is not None:
            yield await before.complete
        if ahead.complete.done():
            # Base64 and raw bytes are here, and wait for nothing.
            yield ahead.complete.result()
            ahead = None


def _record(record: ConsumerRecord) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


def _image(record: ConsumerRecord) -> bytes | str:
    """The image of a job, or its address."""
    if dict(record.headers).get(CONTENT_TYPE, b"").startswith(b"image/"):
        return bytes(record.value)
    image = orjson.loads(record.value)["image"]
    if image.startswith("http"):
        return str(image)
    return pybase64.b64decode(image, validate=True)
