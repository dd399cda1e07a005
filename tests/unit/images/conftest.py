"""Photographs, limits, and loopback servers for the tests of images."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest
from aiohttp import web

from tests.support.paths import IMAGES
from tests.support.servers import Handler, RawHandler, Serve
from tests.support.serving import serving
from worker.settings import DecodeSettings


@pytest.fixture(scope="session")
def photograph() -> Callable[[str], bytes]:
    """Reads one of the files in tests/data/images."""
    return lambda name: (IMAGES / name).read_bytes()


@pytest.fixture(scope="session")
def limits() -> DecodeSettings:
    return DecodeSettings()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts HTTP servers: `await serve(handler, host="127.0.0.1")` gives a base URL."""
    async with AsyncExitStack() as running:

        async def start(handler: Handler, host: str = "127.0.0.1") -> str:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", handler)
            served = serving(application, host, shutdown_timeout=0.1)
            return f"http://{host}:{await running.enter_async_context(served)}"

        yield start


@pytest.fixture
async def serve_raw() -> AsyncIterator[Serve]:
    """Starts servers that speak as they like: `await serve_raw(handler)` gives a base URL."""
    async with AsyncExitStack() as running:

        async def start(handler: RawHandler, host: str = "127.0.0.1") -> str:
            connections: set[asyncio.StreamWriter] = set()

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connections.add(writer)
                try:
                    await handler(reader, writer)
                except (ConnectionError, asyncio.CancelledError):
                    return  # the client had enough, or the test is over
                finally:
                    writer.close()

            server = await asyncio.start_server(accept, host, 0)

            async def stop() -> None:
                server.close()
                for writer in connections:
                    writer.transport.abort()
                await server.wait_closed()

            running.push_async_callback(stop)
            return f"http://{host}:{server.sockets[0].getsockname()[1]}"

        yield start


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """The URL of a server that accepts nothing and whose queue of connections is full."""
    with socket.socket() as server, ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
