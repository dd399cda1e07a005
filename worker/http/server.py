"""The HTTP server: metrics and probes always, classification and its page where wanted."""

from __future__ import annotations

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
        limit = classify.max_body_bytes if classify is not None else 1024
        app = web.Application(client_max_size=limit, middlewares=[_errors])
        app[HEALTH] = health
        app[METRICS] = metrics
        app.add_routes(
            [web.get("/metrics", _metrics), web.get("/livez", _livez), web.get("/readyz", _readyz)]
        )
        if classify is not None:
            app.add_routes([web.post(PATH, classify), web.get("/health", _health), *page.routes()])
        self._settings = settings
        self._runner = web.AppRunner(
            app,
            # Probes every few seconds would drown what matters.
            access_log=None,
            handle_signals=False,
            # A client that is gone needs no answer: what is not yet batched is withdrawn.
            handler_cancellation=True,
        )
        self.port = settings.port

    async def start(self) -> None:
        """Listen; `port` then is the port in use.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self._settings.host, self._settings.port, shutdown_timeout=1.0
        )
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
    """What the server itself refuses (an unknown path, another method), in the service's shape."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        body = {"logId": new_log_id(), "errorCode": error.status, "errorMsg": error.reason}
        return web.json_response(body, status=error.status, headers=allowed)


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


def _probe(reasons: list[str]) -> web.Response:
    return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)
