"""The proxy before each broker: what it carries, cuts and holds back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from chaos.proxy import Proxy
from demo.ports import free_ports

BOUND = 20.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
    await end(writer)


async def end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def start_proxy(stack: AsyncExitStack) -> tuple[Proxy, int]:
    """A proxy before a server that echoes, and its port."""
    front, back = free_ports(2)
    await stack.enter_async_context(await asyncio.start_server(echo, "127.0.0.1", back))
    return await stack.enter_async_context(Proxy(front, back)), front


async def connect(
    stack: AsyncExitStack, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.push_async_callback(end, writer)
    return reader, writer


async def test_it_carries_both_ways(stack: AsyncExitStack) -> None:
    _, port = await start_proxy(stack)
    reader, writer = await connect(stack, port)
    writer.write(b"x" * 300_000)
    async with asyncio.timeout(BOUND):
        assert await reader.readexactly(300_000) == b"x" * 300_000


async def test_cut_connections_are_reset_and_new_ones_can_be_made(stack: AsyncExitStack) -> None:
    proxy, port = await start_proxy(stack)
    reader, writer = await connect(stack, port)
    async with asyncio.timeout(BOUND):
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        assert proxy.connections == 1
        proxy.cut()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        again, writer = await connect(stack, port)
        writer.write(b"2")
        assert await again.readexactly(1) == b"2"


async def test_a_silent_connection_carries_nothing_until_it_is_healed(
    stack: AsyncExitStack,
) -> None:
    proxy, port = await start_proxy(stack)
    reader, writer = await connect(stack, port)
    proxy.silence()
    writer.write(b"1")
    answer = asyncio.create_task(reader.readexactly(1))
    done, _ = await asyncio.wait([answer], timeout=0.2)
    assert not done
    proxy.heal()
    async with asyncio.timeout(BOUND):
        assert await answer == b"1"


async def test_where_nothing_listens_connections_end(stack: AsyncExitStack) -> None:
    front, nobody = free_ports(2)
    await stack.enter_async_context(Proxy(front, nobody))
    reader, _ = await connect(stack, front)
    async with asyncio.timeout(BOUND):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)


async def test_the_end_of_one_side_reaches_the_other(stack: AsyncExitStack) -> None:
    proxy, port = await start_proxy(stack)
    reader, writer = await connect(stack, port)
    async with asyncio.timeout(BOUND):
        writer.write(b"1")
        await reader.readexactly(1)
        writer.close()
        while proxy.connections:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
