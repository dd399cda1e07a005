"""Clients over HTTP, each of which asks again when it is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import orjson
import pybase64

from worker.bench.process_tree import look, spent

__all__ = ["Answered", "Load", "Service", "ask", "body_of", "measure"]

PATH = "/image-classification"
WARM = 1.0
"""Seconds of requests before a measurement begins."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked.

    Attributes:
        clients: how many ask.
        pictures: whether for pictures, too.
    """

    clients: int
    pictures: bool

    def __str__(self) -> str:
        return f"HTTP, {self.clients} client{'s' if self.clients > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers.

    Attributes:
        url: its address, without a slash at the end.
        pid: its process, below which all others of it are.
    """

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of asking.

    Attributes:
        rate: answers per second.
        ms_cpu_by_kind: milliseconds of CPU time of the service for each answer, by process and
            thread.
        client_ms_cpu: those of the clients.
    """

    rate: float
    ms_cpu_by_kind: Mapping[str, float]
    client_ms_cpu: float

    @property
    def ms_cpu(self) -> float:
        """Milliseconds of CPU time of the service for each answer."""
        return sum(self.ms_cpu_by_kind.values())


def body_of(image: bytes, pictures: bool) -> bytes:
    """Make the body of a request.

    Args:
        pictures: whether it asks for the labelled picture.

    Returns:
        JSON.
    """
    return orjson.dumps({"image": pybase64.b64encode_as_string(image), "visualize": pictures})


async def measure(
    service: Service, bodies: Sequence[bytes], clients: int, seconds: float
) -> Answered:
    """Let clients ask, each its next question when the last is answered.

    Args:
        bodies: of the requests, in turn.
        seconds: that are measured, after a second of the same.

    Returns:
        What came of it.
    """
    done = 0

    async def keep_asking(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal done
        while True:
            await ask(session, bodies[number % len(bodies)])
            done += 1
            number += 1

    async with aiohttp.ClientSession(service.url) as session, asyncio.TaskGroup() as group:
        asking = [group.create_task(keep_asking(session, number)) for number in range(clients)]
        await asyncio.sleep(WARM)
        before, first, began = look(service.pid), done, time.perf_counter()
        own = time.process_time()
        await asyncio.sleep(seconds)
        own = time.process_time() - own
        after, last, ended = look(service.pid), done, time.perf_counter()
        # Not to the last answer: where batches are fixed, the last images may never fill one.
        for each in asking:
            each.cancel()
    images = max(1, last - first)
    by_kind = {kind: cpu * 1000 / images for kind, cpu in spent(before, after).items()}
    return Answered((last - first) / (ended - began), by_kind, own * 1000 / images)


async def ask(session: aiohttp.ClientSession, body: bytes) -> bytes:
    """Send a request.

    Returns:
        The answer's body.

    Raises:
        ClientError: it is refused, or the service is gone.
    """
    headers = {"Content-Type": "application/json"}
    async with session.post(PATH, data=body, headers=headers) as response:
        response.raise_for_status()
        return await response.read()
