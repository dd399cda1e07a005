"""The page for people at `/`: plain files beside this one, served as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from worker.http.files import file_handler

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
    here = Path(__file__)
    return [
        web.get(path, file_handler(here.with_name(name), HEADERS)) for path, name in FILES.items()
    ]
