"""Serves submitted files to the worker over HTTP, each at its own address."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from worker.errors import WorkerError

__all__ = ["FileServer"]


class FileServer:
    """Serves exactly the files that were offered, until they are withdrawn.

    It listens on a free port, from the first offer on.

    Args:
        host: the address to listen on, at which the worker reaches this machine.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._offered: dict[str, Path] = {}
        self._starting = asyncio.Lock()
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def offer(self, key: str, path: Path) -> str:
        """Serve a file until `withdraw`.

        Args:
            key: a secret: anybody who knows it can read the file.

        Returns:
            The file's URL.

        Raises:
            WorkerError: the server cannot listen.
        """
        async with self._starting:
            if self._runner is None:
                await self._start()
        self._offered[key] = path
        host = f"[{self._host}]" if ":" in self._host else self._host
        name = quote(path.name.encode(errors="surrogateescape"), safe="")
        return f"http://{host}:{self._port}/{key}/{name}"

    def withdraw(self, key: str) -> None:
        """Stop serving a file. Does nothing if it was not offered."""
        self._offered.pop(key, None)

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _start(self) -> None:
        app = web.Application()
        app.add_routes([web.get("/{key}/{name}", self._get)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, 0).start()
        except OSError as error:
            await runner.cleanup()
            raise WorkerError(
                f"cannot serve files on {self._host}: {error.strerror}; "
                "give an address of this machine"
            ) from error
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        path = self._offered.get(request.match_info["key"])
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path)
