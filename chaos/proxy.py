"""A TCP proxy on loopback that cuts, slows and silences what it carries."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

__all__ = ["Proxy"]

_PIECE = 64 * 1024


class Proxy:
    """Carries connections from one port of 127.0.0.1 to another; an asynchronous context manager.

    Args:
        port: to listen on.
        target: to connect to. If nothing listens there, connections are reset.

    Attributes:
        delay: seconds by which each piece of data is held up.
    """

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self.delay = 0.0
        self._carrying = asyncio.Event()
        self._carrying.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many connections it carries."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """Reset all connections; new ones can be made."""
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """Carry nothing until `heal`. Connections stay open, and new ones are accepted."""
        self._carrying.clear()

    def heal(self) -> None:
        """Carry everything at once again."""
        self.delay = 0.0
        self._carrying.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._carry(reader, writer)
        finally:
            self._tasks.discard(task)
            await self._abort(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        self._writers.add(back)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, back))
                both.create_task(self._pump(there, writer))
        finally:
            await self._abort(back)

    async def _abort(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_PIECE):
                await asyncio.sleep(self.delay)
                await self._carrying.wait()
                sink.write(data)
                await sink.drain()
        # One end is gone: the other one is told at once, as the kernel would.
        sink.transport.abort() if sink.transport.is_closing() else sink.close()
