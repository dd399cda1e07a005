"""Serves an application on loopback, and loses no connection when that ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

__all__ = ["serving"]


@asynccontextmanager
async def serving(
    app: web.Application, host: str = "127.0.0.1", *, shutdown_timeout: float = 1.0
) -> AsyncIterator[int]:
    """Serve on a port of `host`, and yield it.

    Args:
        shutdown_timeout: seconds that requests have for their end, then.
    """
    runner = web.AppRunner(app, shutdown_timeout=shutdown_timeout)
    await runner.setup()
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, 0), family=family)
        await web.SockSite(runner, listening).start()
        try:
            yield listening.getsockname()[1]
        finally:
            # A server of Python 3.11 that is closed in the turn of the loop after the one in which
            # it accepts a connection never closes that: no more are accepted, and the last is made.
            asyncio.get_running_loop().remove_reader(listening)
            await asyncio.sleep(0)
    finally:
        await runner.cleanup()
