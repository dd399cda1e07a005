"""The HTTP server: metrics and probes always, classification and its page where wanted."""

from __future__ import annotations

from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST

from worker.errors import Failure, Reason, SettingsError, Stage
from worker.health import Health
from worker.http import page
from worker.http.classify import PATH, Classify, answer, new_log_id
from worker.metrics import Metrics
from worker.settings import HttpSettings

__all__ = ["HttpServer"]

HEALTH = web.AppKey("health", Health)
METRICS = web.AppKey("metrics", Metrics)

OPENAPI = Path(__file__).with_name("openapi.json")

log = structlog.get_logger(__name__)


class HttpServer:
    """Serves `/metrics`, `/livez`, `/readyz` and, with `classify`, the reference's service.

    Args:
        classify: the handler of `POST /image-classification`, or None to serve none.
    """

    def __init__(
        self,
        settings: HttpSettings,
        health: Health,
        metrics: Metrics,
        classify: Classify | None,
    ) -> None:
        app = web.Application(middlewares=[_errors])
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
                    web.get("/openapi.json", _openapi),
                    *page.routes(),
                ]
            )
        self._settings = settings
        self._runner = web.AppRunner(
            app,
            # Probes every few seconds would drown what matters.
            access_log=None,
            handle_signals=False,
            # A client that is gone needs no answer: what is not yet batched is withdrawn.
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
        self.port = settings.port

    async def start(self) -> None:
        """Listen; `port` then is the port in use.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise SettingsError(
                f"cannot listen on http.host {self._settings.host}, "
                f"http.port {self._settings.port}: {error.strerror}"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the server itself refuses, and what nobody foresaw, in the service's shape."""
    headers = {}
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        headers["Allow"] = allowed
        status, message = error.status, f"{error.method} is not possible here; use {allowed}"
    except web.HTTPNotFound as error:
        status, message = error.status, f"there is nothing here; classification is at {PATH}"
    except web.HTTPException as error:
        status, message = error.status, error.reason
    except Exception:
        log.exception("request_raised", path=request.path)
        status, message = 500, "internal error; the worker's log has more"
    body = {"logId": new_log_id(), "errorCode": status, "errorMsg": message}
    return web.json_response(body, status=status, headers=headers)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[METRICS].render(), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


async def _livez(request: web.Request) -> web.Response:
    return _probe(request.app[HEALTH].not_live())


async def _readyz(request: web.Request) -> web.Response:
    return _probe(request.app[HEALTH].not_ready())


async def _health(request: web.Request) -> web.Response:
    """The reference's own probe."""
    reasons = request.app[HEALTH].not_ready()
    if reasons:
        return answer(new_log_id(), Failure(Reason.UNAVAILABLE, ", ".join(reasons), Stage.PARSE))
    return web.json_response({"logId": new_log_id(), "errorCode": 0, "errorMsg": "Healthy"})


async def _openapi(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(OPENAPI, headers={"Cache-Control": "no-cache"})


def _probe(reasons: list[str]) -> web.Response:
    return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)
