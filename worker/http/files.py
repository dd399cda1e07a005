"""Serves files of the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

__all__ = ["file_handler"]


def file_handler(path: Path, headers: Mapping[str, str]) -> Handler:
    """Make a handler that serves the file at `path`, whole or a range of its bytes.

    Returns:
        A handler that raises `web.HTTPRequestRangeNotSatisfiable` if the file has no such range.
        (aiohttp's own answer to that has no body.)
    """
    size = path.stat().st_size

    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            start = request.http_range.start or 0
        except ValueError:
            start = size
        if start >= size:
            raise web.HTTPRequestRangeNotSatisfiable(
                text=f"the file has no such range of bytes, only 0-{size - 1}; send no Range"
            )
        return web.FileResponse(path, headers=headers)

    return serve
