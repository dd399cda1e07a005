"""The web server that images come from: quick, slow or dying."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

__all__ = ["ImageHost"]


class ImageHost:
    """Serves one image at every path, on loopback; an asynchronous context manager.

    Args:
        image: the encoded image.

    Attributes:
        delay: seconds before each answer.
        dying: whether connections are reset after half of the image.
    """

    def __init__(self, image: bytes) -> None:
        self._image = image
        self.delay = 0.0
        self.dying = False

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{name:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def url(self, name: str) -> str:
        """Make the address of an image.

        Returns:
            An `http` URL of a loopback address.
        """
        return f"http://127.0.0.1:{self._port}/{name}.jpg"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.delay)
        if not self.dying:
            return web.Response(body=self._image, content_type="image/jpeg")
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        response.content_length = len(self._image)
        await response.prepare(request)
        await response.write(self._image[: len(self._image) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response
