"""The HTTP server: metrics and probes always, classification and its page where wanted."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from worker.errors import Failure, Reason, SettingsError, Stage
from worker.health import Health
from worker.http import page
from worker.http.classify import PATH, Classify
from worker.http.connection import Connection
from worker.http.files import file_handler
from worker.http.origins import Origins
from worker.http.responses import SERVER, healthy, new_log_id, outcome_response, refuse
from worker.metrics import Metrics
from worker.settings import HttpSettings

__all__ = ["HttpServer"]

HEALTH = web.AppKey("health", Health)
METRICS = web.AppKey("metrics", Metrics)

OPENAPI = Path(__file__).with_name("openapi.json")
NO_CACHE = {"Cache-Control": "no-cache"}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


class HttpServer:
    """Serves `/metrics`, `/livez`, `/readyz` and, with `classify`, PaddleX's service and the pages.

    Args:
        classify: the handler of `POST /image-classification`, or None to serve only the probes.
    """

    def __init__(
        self,
        settings: HttpSettings,
        health: Health,
        metrics: Metrics,
        classify: Classify | None,
    ) -> None:
        app = web.Application()
        app[HEALTH] = health
        app[METRICS] = metrics
        app.add_routes(
            [web.get("/metrics", _metrics), web.get("/livez", _livez), web.get("/readyz", _readyz)]
        )
        if classify is not None:
            app.add_routes(
                [
                    web.post(PATH, classify.infer, expect_handler=classify.expect),
                    web.get("/health", _health),
                    web.get("/openapi.json", file_handler(OPENAPI, NO_CACHE)),
                    *page.routes(),
                ]
            )
        self._settings = settings
        self._origins = Origins(settings.allow_origins, settings.allowed_hosts)
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            # A client that disconnects needs no answer: its image is dropped if no batch has it
            # yet.
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
        self._nothing_here = "there is nothing here; " + (
            f"classification is at {PATH}, its documentation at /docs"
            if classify is not None
            else "this worker classifies for Kafka alone, since http.infer is off"
        )
        self._listener: asyncio.Server | None = None
        self.port = settings.port

    async def start(self) -> None:
        """Listen. `port` is then the port in use.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        await self._runner.setup()
        server = self._runner.server
        assert server is not None, "a runner that is set up has one"
        # Around the whole application: a refused `Expect` never reaches a middleware.
        server.request_handler = partial(self._answer, server.request_handler)
        # Not a web.TCPSite, which makes connections of aiohttp's class.
        connect = partial(Connection, server, head_timeout=self._settings.head_timeout)
        loop = asyncio.get_running_loop()
        host, port = self._settings.host, self._settings.port
        try:
            self._listener = await loop.create_server(connect, host, port, backlog=128)
        except OSError as error:
            await self._runner.cleanup()
            why = (
                "another program listens there; choose another port, or 0 for a free one"
                if error.errno == errno.EADDRINUSE
                else f"{error.strerror}; name an address of this machine, or 0.0.0.0 for all"
            )
            raise SettingsError(
                f"cannot listen on http.host {host}, http.port {port}: {why}"
            ) from error
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    async def _answer(self, handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; refusals and unexpected errors get the service's shape."""
        headers = dict(self._origins.headers(request))
        connection = request.protocol
        assert isinstance(connection, Connection), "the listener makes no others"
        connection.end_broken_body()
        refused = self._origins.refusal(request)
        if refused is not None:
            log.debug("request_refused", path=request.path, message=refused)
            return refuse(new_log_id(), 403, refused, headers)
        try:
            response = self._origins.preflight(request) or await handler(request)
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            headers["Allow"] = allowed
            status, message = error.status, f"{error.method} is not possible here; use {allowed}"
        except web.HTTPNotFound as error:
            status, message = error.status, self._nothing_here
        except web.HTTPExpectationFailed as error:
            status, message = error.status, "only 'Expect: 100-continue' can be met; send no other"
        except web.HTTPException as error:
            status, message = error.status, error.text or error.reason
        except Exception:
            log.exception("request_raised", path=request.path)
            status, message = 500, "internal error; the worker's log has more"
        else:
            response.headers.update({"Server": SERVER, **headers})
            return response
        return refuse(new_log_id(), status, message, headers)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[METRICS].render(), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


async def _livez(request: web.Request) -> web.Response:
    return _probe(request.app[HEALTH].not_live())


async def _readyz(request: web.Request) -> web.Response:
    return _probe(request.app[HEALTH].not_ready())


async def _health(request: web.Request) -> web.Response:
    """Answer the probe of PaddleX's service."""
    reasons = request.app[HEALTH].not_ready()
    if reasons:
        failure = Failure(Reason.UNAVAILABLE, ", ".join(reasons), Stage.PARSE)
        return outcome_response(new_log_id(), failure)
    return healthy(new_log_id())


def _probe(reasons: list[str]) -> web.Response:
    return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)
