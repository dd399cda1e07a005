"""The page for people at `/`: plain files beside this one, served as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

__all__ = ["routes"]

FILES = {
    "/": "index.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/live.js": "live.js",
    "/icon.svg": "icon.svg",
}

HEADERS = {
    "Cache-Control": "no-cache",
    # The page needs nothing from anywhere else; images are what the user drops or names.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes() -> Sequence[web.RouteDef]:
    """One route per file."""
    return [web.get(path, _serve(name)) for path, name in FILES.items()]


def _serve(name: str) -> Handler:
    path = Path(__file__).with_name(name)

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers=HEADERS)

    return serve
