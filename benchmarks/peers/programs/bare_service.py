"""What no service can leave out, as lean as aiohttp allows; arguments PORT MODEL BACKEND THREADS.

Each request's JSON is parsed, its image read from Base64, decoded, computed on all cores and, if it
asks for that, drawn, where it is read: one after the other, in one process. Nothing is checked,
queued, bounded or measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import pybase64
import uvloop
from aiohttp import web

from benchmarks.bare_work import CATEGORIES
from worker.bench.alone_process import Alone
from worker.contract.jobs import Success
from worker.http.classify import PATH
from worker.http.responses import healthy, new_log_id, outcome_response

__all__ = ["main", "service"]

LARGEST = 2**26
"""Bytes of a request."""


def service(alone: Alone) -> web.Application:
    """Make the service.

    Returns:
        It answers PaddleX's requests, all with the same categories.
    """

    async def classify(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        image = pybase64.b64decode(asked["image"], validate=True)
        picture = alone.classify(image, picture=asked["visualize"])
        return outcome_response(new_log_id(), Success(CATEGORIES, picture))

    async def health(_: web.Request) -> web.Response:
        return healthy(new_log_id())

    application = web.Application(client_max_size=LARGEST)
    application.add_routes([web.post(PATH, classify), web.get("/health", health)])
    return application


def main() -> None:
    """Serve until killed."""
    port, model, backend, threads = sys.argv[1:]
    application = service(Alone(Path(model), backend, int(threads)))
    web.run_app(
        application,
        host="127.0.0.1",
        port=int(port),
        print=None,
        access_log=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
