"""What is served on which port: metrics and probes, and classification with its pages if wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from aiohttp import hdrs, web

from worker.errors import Failure, Reason, Stage
from worker.health import Health
from worker.http import page
from worker.http.access import REALM, Access
from worker.http.admin import Admin
from worker.http.certificates import Certificates
from worker.http.classify import PATH, Classify
from worker.http.files import file_handler
from worker.http.renewal import Renewal
from worker.http.responses import RETRY_AFTER, healthy, new_log_id, outcome_response, refuse
from worker.http.site import Site
from worker.http.tokens import Tokens
from worker.metrics import Metrics
from worker.metrics.exposition import expose
from worker.settings import HttpSettings, HttpTlsSettings

__all__ = ["HttpServer"]

OPENAPI = Path(__file__).with_name("openapi.json")
NO_CACHE = {"Cache-Control": "no-cache"}

METRICS = "/metrics"
OPEN_PATHS = frozenset({"/livez", "/readyz", "/health", "/openapi.json", *page.FILES})
"""They say how the worker is, and show how to use it."""

MAX_SCRAPES = 8
"""Most answers with metrics at a time: each takes a thread milliseconds, which add up, and one of
the connections that are spare (`SPARE_CONNECTIONS` of the settings)."""


class HttpServer:
    """Serves `/metrics`, `/livez`, `/readyz` and, with `classify`, PaddleX's service and the pages.

    With `http.metrics_port` the first three have a port of their own; if there is no `classify`, it
    is the only one.

    Clients that may not classify may still ask for probes and pages, and for metrics unless the
    settings protect them; see `Access`.

    Args:
        classify: the handler of `POST /image-classification`, or None to serve only the probes.

    Attributes:
        admin: the handler of `/admin/model`, which is beside metrics and probes.
    """

    def __init__(
        self,
        settings: HttpSettings,
        health: Health,
        metrics: Metrics,
        classify: Classify | None,
    ) -> None:
        self._probes = _Probes(health, metrics)
        self._renewals: list[Renewal] = []
        self._renewing: list[asyncio.Task[None]] = []
        site = partial(
            Site,
            settings,
            access=self._make_access(settings),
            certificates=self._make_certificates(settings.tls),
            metrics=metrics,
        )
        secured = settings.token_file is not None
        guarded = secured or settings.tls.client_ca_file is not None
        self.admin = Admin(guarded=guarded, read_timeout=settings.read_timeout)
        probes = [*self._probes.routes(), *self.admin.routes()]
        service = [] if classify is None else _service_routes(classify, health, secured=secured)
        about = (
            "this worker classifies for Kafka alone, since http.infer is off"
            if classify is None
            else f"classification is at {PATH}, its documentation at /docs"
        )
        own_port = settings.metrics_port
        if own_port is None or own_port == settings.port != 0:
            self._sites = [site("http.port", settings.port, [*probes, *service], about)]
            return
        paths = "/metrics, /livez, /readyz and /admin/model are the paths of this port"
        self._sites = [site("http.metrics_port", own_port, probes, paths)]
        if classify is not None:
            self._sites.insert(0, site("http.port", settings.port, service, about))

    def _make_access(self, settings: HttpSettings) -> Access:
        open_paths = OPEN_PATHS if settings.protect_metrics else OPEN_PATHS | {METRICS}
        tokens = None
        if settings.token_file is not None:
            tokens = Tokens(settings.token_file)
            self._renewals.append(Renewal("http.token_file", [settings.token_file], tokens.load))
        needs_certificate = settings.tls.client_ca_file is not None
        return Access(open_paths, tokens, certificate=needs_certificate)

    def _make_certificates(self, tls: HttpTlsSettings) -> Certificates | None:
        if not tls.enabled:
            return None
        certificates = Certificates(tls)
        files = (tls.cert_file, tls.key_file, tls.client_ca_file)
        self._renewals.append(Renewal("http.tls", files, certificates.load))
        return certificates

    @property
    def port(self) -> int:
        """The port of the service; of the probes if there is no service."""
        return self._sites[0].port

    @property
    def metrics_port(self) -> int:
        """The port of metrics and probes."""
        return self._sites[-1].port

    async def start(self) -> None:
        """Listen. The ports are then those in use.

        Raises:
            SettingsError: an address cannot be listened on, or tokens or certificates not be read.
        """
        for renewal in self._renewals:
            renewal.first()
        async with AsyncExitStack() as stack:
            for site in self._sites:
                await site.start()
                stack.push_async_callback(site.stop)
            stack.pop_all()
        self._renewing = [asyncio.create_task(renewal.run()) for renewal in self._renewals]

    async def stop(self) -> None:
        """Stop listening."""
        for task in self._renewing:
            task.cancel()
        await asyncio.gather(*self._renewing, return_exceptions=True)
        await asyncio.gather(*(site.stop() for site in self._sites))
        self._probes.close()


class _Probes:
    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics
        # Of its own: the loop's threads may all wait for name servers.
        self._thread = ThreadPoolExecutor(1, "metrics")
        self._scrapes = 0

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(METRICS, self._expose),
            web.get("/livez", self._livez),
            web.get("/readyz", self._readyz),
        ]

    async def _expose(self, request: web.Request) -> web.Response:
        if self._scrapes == MAX_SCRAPES:
            said = "too many ask for metrics at the same time; try again later"
            return refuse(new_log_id(), 503, said, {"Retry-After": RETRY_AFTER})
        self._scrapes += 1
        try:
            return await self._exposed(request)
        finally:
            self._scrapes -= 1

    async def _exposed(self, request: web.Request) -> web.Response:
        accept = request.headers.get(hdrs.ACCEPT, "")
        encoding = request.headers.get(hdrs.ACCEPT_ENCODING, "")
        # Read in the loop, written in a thread: that takes longer, and holds up no job.
        write = partial(expose, self._metrics.collect(), accept, encoding)
        found = await asyncio.get_running_loop().run_in_executor(self._thread, write)
        return web.Response(body=found.body, headers=found.headers)

    async def _livez(self, _: web.Request) -> web.Response:
        return _probe(self._health.not_live())

    async def _readyz(self, _: web.Request) -> web.Response:
        health = self._health
        notes = [f"a change of the model is under way: {health.changing}"] * bool(health.changing)
        return _probe(health.not_ready(), notes)


def _service_routes(
    classify: Classify, health: Health, *, secured: bool
) -> list[web.AbstractRouteDef]:
    async def answer_health(_: web.Request) -> web.Response:
        """Answer the probe of PaddleX's service."""
        reasons = health.not_ready()
        if reasons:
            failure = Failure(Reason.UNAVAILABLE, ", ".join(reasons), Stage.PARSE)
            return outcome_response(new_log_id(), failure)
        return healthy(new_log_id())

    # So that its page shows commands that work here; RFC 9110, 11.6.1, allows it in any response.
    challenge = {hdrs.WWW_AUTHENTICATE: REALM} if secured else {}
    return [
        web.post(PATH, classify.infer, expect_handler=classify.expect),
        web.get("/health", answer_health),
        web.get("/openapi.json", file_handler(OPENAPI, NO_CACHE | challenge)),
        *page.routes(),
    ]


def _probe(reasons: list[str], notes: Sequence[str] = ()) -> web.Response:
    """Answer a probe.

    Args:
        notes: what is said besides, whatever the answer.
    """
    lines = [*(reasons or ["ok"]), *notes]
    return web.Response(text="\n".join(lines) + "\n", status=503 if reasons else 200)
