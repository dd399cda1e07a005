"""What no service can leave out, as lean as aiohttp allows; arguments PORT WORK.

Each request's JSON is parsed, and its image read from Base64. WORK is a JSON object that says what
becomes of the image; see `make_work`. Nothing is checked, bounded or measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pybase64
import uvloop
from aiohttp import web

from benchmarks.bare_work import CATEGORIES
from benchmarks.hand_over import HandOver
from benchmarks.stages import StagePlan, Stages
from worker.bench.alone_process import Alone
from worker.contract.jobs import Success
from worker.http.classify import PATH
from worker.http.responses import healthy, new_log_id, outcome_response

__all__ = ["main", "make_work", "service"]

LARGEST = 2**26
"""Bytes of a request."""

Work = Callable[[bytes, bool], Awaitable[Success]]
"""Is given an image, and whether its picture is wanted."""


def one_by_one(model: Path, backend: str, threads: int) -> Work:
    """Decode, compute and draw one image after the other, in the thread that reads requests.

    Args:
        threads: CPU threads of the network.

    Returns:
        The work, ready.
    """
    alone = Alone(model, backend, threads)

    async def classify(image: bytes, picture: bool) -> Success:
        return Success(CATEGORIES, alone.classify(image, picture=picture))

    return classify


def together(stages: Stages, picture: int) -> Work:
    """Answer all alike, at the pace of processes that do as much work.

    Args:
        stages: one image more has been through them for each answer.
        picture: the size in bytes of each picture.

    Returns:
        The work.
    """
    outcomes = Success(CATEGORIES, None), Success(CATEGORIES, b"\xff" * picture)

    async def classify(_: bytes, wanted: bool) -> Success:
        stages.begin(1)
        await stages.wait(1)
        return outcomes[wanted]

    return classify


def handed_over(processes: HandOver) -> Work:
    """Hand each image over to processes.

    Returns:
        The work.
    """

    async def classify(image: bytes, _: bool) -> Success:
        return Success(CATEGORIES, await processes.submit(image))

    return classify


def make_work(described: dict[str, Any], stack: ExitStack) -> Work:
    """Make what a JSON object describes: the arguments of one of the functions here.

    Args:
        stack: ends what is started.

    Returns:
        The work, ready.
    """
    match described:
        case {"stages": stages, "picture": picture}:
            return together(Stages.start(StagePlan.from_json(stages), stack), picture)
        case {"handed over": stages}:
            return handed_over(HandOver(StagePlan.from_json(stages), stack))
        case {"model": model, "backend": backend, "threads": threads}:
            return one_by_one(Path(model), backend, threads)
        case _:
            raise ValueError(f"no work is described like this: {described}")


def service(work: Work) -> web.Application:
    """Make the service.

    Returns:
        It answers PaddleX's requests, all with the same categories.
    """

    async def classify(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        image = pybase64.b64decode(asked["image"], validate=True)
        return outcome_response(new_log_id(), await work(image, asked["visualize"]))

    async def health(_: web.Request) -> web.Response:
        return healthy(new_log_id())

    application = web.Application(client_max_size=LARGEST)
    application.add_routes([web.post(PATH, classify), web.get("/health", health)])
    return application


def main() -> None:
    """Serve until killed."""
    port, described = sys.argv[1:]
    with ExitStack() as stack:
        web.run_app(
            service(make_work(json.loads(described), stack)),
            host="127.0.0.1",
            port=int(port),
            print=None,
            access_log=None,
            loop=uvloop.new_event_loop(),
        )


if __name__ == "__main__":
    main()
