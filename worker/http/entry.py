"""A connection's first moments: it gets a place, negotiates TLS, and becomes a `Connection`."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import cast

import orjson
import structlog

from worker.contract.results import error_fields
from worker.http.certificates import Certificates
from worker.http.connection import Connection
from worker.http.places import Place, Places
from worker.http.responses import RETRY_AFTER, SERVER, new_log_id

__all__ = ["Entry"]

CLOSE_TIMEOUT = 5.0
"""Seconds for a client to answer the end of TLS."""

Make = Callable[[Place], Connection]

log = structlog.get_logger(__name__)


class Entry:
    """Lets connections in; for one event loop.

    TLS is not left to the listening socket: that would tell nobody of connections on which it
    fails, nor end one for another, and they would have no place.

    Args:
        make: makes a connection that has a place.
        certificates: for TLS, or None without.
        timeout: seconds for its negotiation.
    """

    def __init__(
        self, places: Places, make: Make, certificates: Certificates | None, timeout: float
    ) -> None:
        self._places = places
        self._make = make
        self._certificates = certificates
        self._timeout = timeout
        self._negotiations: set[asyncio.Task[None]] = set()

    def protocol(self) -> asyncio.Protocol:
        """Make the protocol of a new connection.

        Returns:
            One that is replaced as soon as the connection is made.
        """
        return _Arrival(self)

    def close(self) -> None:
        """End all negotiations."""
        for task in self._negotiations:
            task.cancel()

    def arrive(self, transport: asyncio.Transport) -> None:
        """Take a connection in, or turn it away."""
        place = self._places.take(transport.abort)
        if place is None:
            _turn_away(transport, secure=self._certificates is not None)
        elif self._certificates is None:
            connection = self._make(place)
            transport.set_protocol(connection)
            connection.connection_made(transport)
        else:
            context = self._certificates.context
            assert context is not None, "certificates are loaded before anything listens"
            # A copy of the descriptor, which the transport has not begun to read from: uvloop's
            # `start_tls` loses what comes before it.
            try:
                accepted = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
            except OSError as error:
                # All descriptors are taken; nothing would ever end this connection.
                place.leave()
                log.warning("tls_not_negotiated", error=error.strerror)
                return
            finally:
                transport.abort()
            task = asyncio.create_task(self._negotiate(accepted, place, context))
            place.abort = task.cancel
            self._negotiations.add(task)
            task.add_done_callback(partial(self._negotiated, accepted, place))

    async def _negotiate(
        self, accepted: socket.socket, place: Place, context: ssl.SSLContext
    ) -> None:
        accepted.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: self._make(place),
            accepted,
            ssl=context,
            ssl_handshake_timeout=self._timeout,
            ssl_shutdown_timeout=CLOSE_TIMEOUT,
        )

    def _negotiated(self, accepted: socket.socket, place: Place, task: asyncio.Task[None]) -> None:
        self._negotiations.discard(task)
        error = None if task.cancelled() else task.exception()
        if not task.cancelled() and error is None:
            return
        accepted.close()
        place.leave()
        # Else it speaks no TLS, shows a certificate of nobody known, was too slow, or is gone.
        if not isinstance(error, OSError | None):
            log.error("tls_not_negotiated", exc_info=error)


class _Arrival(asyncio.Protocol):
    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have its methods, and are of no class of asyncio's.
        self._entry.arrive(cast("asyncio.Transport", transport))


def _turn_away(transport: asyncio.Transport, *, secure: bool) -> None:
    if secure:
        # An answer would need a handshake, which is what there is no room for.
        transport.abort()
        return
    message = "the service has no room for another connection; try again later"
    body = orjson.dumps({"logId": new_log_id(), **error_fields(503, message)})
    head = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Retry-After: {RETRY_AFTER}\r\n"
        f"Server: {SERVER}\r\n"
        "Connection: close\r\n\r\n"
    )
    transport.write(head.encode() + body)
    transport.close()
