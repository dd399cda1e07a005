"""Loopback servers that stand in for the places where images and models are."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.support.serving import serving

__all__ = ["HeldArchive", "HeldImage", "ImageServer"]


class ImageServer:
    """Serves bytes by path on one loopback address; a context manager.

    Attributes:
        requests: paths asked for, in order.
    """

    def __init__(self, images: dict[str, bytes], host: str = "127.0.0.1") -> None:
        self._host = host
        self._images = images
        self._redirects: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._stack = AsyncExitStack()
        self.requests: list[str] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{name:.*}", self._answer)
        self.port = await self._stack.enter_async_context(serving(app, self._host))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def url(self, path: str) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}{path}"

    def redirect(self, path: str, target: str) -> None:
        """Answer `path` with a redirect from now on."""
        self._redirects[path] = target

    def fail(self, path: str, times: int) -> None:
        """Answer the next requests for `path`, so many, with 503."""
        self._failures[path] = times

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        if self._failures.get(request.path, 0) > 0:
            self._failures[request.path] -= 1
            raise web.HTTPServiceUnavailable
        if request.path in self._redirects:
            raise web.HTTPFound(self._redirects[request.path])
        if request.path not in self._images:
            raise web.HTTPNotFound
        return web.Response(body=self._images[request.path])


class HeldImage(ImageServer):
    """Serves one image, but not before `release` is set.

    Attributes:
        asked: set once somebody waits for it.
    """

    def __init__(self, image: bytes) -> None:
        super().__init__({"/held": image})
        self.asked = asyncio.Event()
        self.release = asyncio.Event()

    @property
    def held_url(self) -> str:
        return self.url("/held")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        await self.release.wait()
        return await super()._answer(request)


class HeldArchive(ImageServer):
    """Serves the first half of a model's archive at once, the rest not before `release` is set.

    It can go on where an earlier download ended.

    Attributes:
        starts: the position from which each request wanted the archive, in order.
        half: bytes that come at once.
    """

    def __init__(self, name: str, archive: bytes) -> None:
        super().__init__({f"/{name}_infer.tar": archive})
        self.half = len(archive) // 2
        self.release = asyncio.Event()
        self.starts: list[int] = []

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        archive = self._images[request.path]
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.starts.append(start)
        response = web.StreamResponse(status=206 if asked else 200, headers={"ETag": '"1"'})
        response.content_length = len(archive) - start
        if asked:
            response.headers["Content-Range"] = f"bytes {start}-{len(archive) - 1}/{len(archive)}"
        await response.prepare(request)
        await response.write(archive[start : self.half])
        await self.release.wait()
        await response.write(archive[max(start, self.half) :])
        return response
