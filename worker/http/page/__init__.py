"""The page for people at `/` and the API documentation at `/docs`: plain files, served as they are.

Both pages need no build step and nothing from another server.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from worker.http.files import file_handler

__all__ = ["routes"]

PAGES = {"/": "index.html", "/docs": "docs.html"}

ASSETS = (
    *("base.css", "page.css", "answers.css", "live.css", "docs.css"),
    # The page: what the user gives, asking the worker, showing the answers.
    *("page.js", "input.js", "asking.js", "batch.js", "answers.js", "details.js", "code.js"),
    # The worker's state and figures.
    *("live.js", "state.js", "exposition.js"),
    *("docs.js", "schemas.js"),
    # Shared by both pages.
    *("copying.js", "dom.js", "token.js"),
    "icon.svg",
    *("samples/cat.jpg", "samples/coffee.jpg", "samples/rocket.jpg"),
)

FILES = PAGES | {f"/{name}": name for name in ASSETS}
"""Paths and the files that they name."""

HEADERS = {
    "Cache-Control": "no-cache",
    # The pages need nothing from anywhere else; images are what the user drops or names.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes() -> Sequence[web.RouteDef]:
    """Make the routes of both pages.

    Returns:
        One route per file.
    """
    here = Path(__file__).parent
    return [web.get(path, file_handler(here / name, HEADERS)) for path, name in FILES.items()]
