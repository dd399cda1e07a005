"""Metrics and probes over HTTP."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from worker.errors import SettingsError
from worker.health import Health
from worker.metrics import Metrics
from worker.settings import HttpSettings

__all__ = ["HttpServer"]

HEALTH = web.AppKey("health", Health)
METRICS = web.AppKey("metrics", Metrics)


class HttpServer:
    """Serves `/metrics`, `/livez` and `/readyz`."""

    def __init__(self, settings: HttpSettings, health: Health, metrics: Metrics) -> None:
        app = web.Application()
        app[HEALTH] = health
        app[METRICS] = metrics
        app.add_routes(
            [web.get("/metrics", _metrics), web.get("/livez", _livez), web.get("/readyz", _readyz)]
        )
        self._settings = settings
        # Probes every few seconds would drown what matters.
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
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


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[METRICS].render(), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


async def _livez(request: web.Request) -> web.Response:
    return _probe(request.app[HEALTH].not_live())


async def _readyz(request: web.Request) -> web.Response:
    return _probe(request.app[HEALTH].not_ready())


def _probe(reasons: list[str]) -> web.Response:
    return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)
