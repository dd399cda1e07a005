"""One port, and what is served there: each answer, a refusal too, has the service's shape."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import structlog
from aiohttp import web

from worker.errors import SettingsError
from worker.http.access import Access
from worker.http.certificates import Certificates
from worker.http.connection import Connection
from worker.http.entry import Entry
from worker.http.origins import Origins
from worker.http.places import Places
from worker.http.responses import SERVER, new_log_id, refuse
from worker.metrics import Metrics
from worker.settings import HttpSettings

__all__ = ["Site"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


class Site:
    """Listens on one port; for one event loop.

    Args:
        name: the setting that names its port.
        routes: what is there.
        elsewhere: what is answered about other paths, after "there is nothing here".
        access: who may ask for what.
        certificates: for TLS; None without.

    Attributes:
        port: the one in use, once it listens.
    """

    def __init__(
        self,
        settings: HttpSettings,
        name: str,
        port: int,
        routes: Iterable[web.AbstractRouteDef],
        elsewhere: str,
        access: Access,
        certificates: Certificates | None,
        metrics: Metrics,
    ) -> None:
        app = web.Application()
        app.add_routes(routes)
        self._settings = settings
        self._name = name
        self._elsewhere = elsewhere
        self._access = access
        self._metrics = metrics
        self._certificates = certificates
        self._places = Places(settings.max_connections, metrics)
        self._entry: Entry | None = None
        self._origins = Origins(settings.allow_origins, settings.allowed_hosts)
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            # A client that disconnects needs no answer: its image is dropped if no batch has it
            # yet.
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
        self._listener: asyncio.Server | None = None
        self.port = port

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
        make = partial(Connection, server, head_timeout=self._settings.head_timeout)
        patience = self._settings.tls.handshake_timeout
        self._entry = Entry(self._places, make, self._certificates, patience)
        loop = asyncio.get_running_loop()
        host = self._settings.host
        try:
            self._listener = await loop.create_server(
                self._entry.protocol, host, self.port, backlog=128
            )
        except OSError as error:
            await self._runner.cleanup()
            why = (
                "another program listens there; choose another port, or 0 for a free one"
                if error.errno == errno.EADDRINUSE
                else f"{error.strerror}; name an address of this machine, or 0.0.0.0 for all"
            )
            raise SettingsError(
                f"cannot listen on http.host {host}, {self._name} {self.port}: {why}"
            ) from error
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
        if self._entry is not None:
            self._entry.close()
        await self._runner.cleanup()

    async def _answer(self, handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; the connection is not given to another client meanwhile."""
        connection = request.protocol
        assert isinstance(connection, Connection), "the listener makes no others"
        connection.end_broken_body()
        with connection.place.busy():
            return await self._admitted(handler, request)

    async def _admitted(self, handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request if it may be made; a browser asks without a token whether it may."""
        headers = dict(self._origins.headers(request))
        refused = self._origins.refusal(request)
        if refused is not None:
            log.debug("request_refused", path=request.path, message=refused)
            return refuse(new_log_id(), 403, refused, headers)
        preflight = self._origins.preflight(request)
        if preflight is not None:
            preflight.headers.update({"Server": SERVER, **headers})
            return preflight
        denial = self._access.denial(request)
        if denial is not None:
            self._metrics.turned_away.labels(denial.cause).inc()
            log.debug("request_refused", path=request.path, message=denial.message)
            return refuse(new_log_id(), denial.status, denial.message, headers | denial.headers)
        return await self._handled(handler, request, headers)

    async def _handled(
        self, handler: Handler, request: web.BaseRequest, headers: dict[str, str]
    ) -> web.StreamResponse:
        """Answer a request; refusals and unexpected errors get the service's shape."""
        try:
            response = await handler(request)
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            headers["Allow"] = allowed
            status, message = error.status, f"{error.method} is not possible here; use {allowed}"
        except web.HTTPNotFound as error:
            status, message = error.status, f"there is nothing here; {self._elsewhere}"
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
