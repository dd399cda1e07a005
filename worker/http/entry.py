"""A connection's first moments: it gets a place, negotiates TLS, and becomes a `Connection`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import orjson

from worker.contract.results import error_fields
from worker.http.certificates import Certificates
from worker.http.connection import Connection
from worker.http.places import Place, Places
from worker.http.responses import RETRY_AFTER, SERVER, new_log_id

__all__ = ["Entry"]

GOODBYE_TIMEOUT = 5.0
"""Seconds for a client to answer the end of TLS."""

Make = Callable[[Place], Connection]


class Entry:
    """Lets connections in; for one event loop.

    TLS is not left to the listening socket: that one tells nobody of connections on which it fails,
    and their places would be lost.

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
            # Nothing is read by the protocol that TLS will replace.
            transport.pause_reading()
            context = self._certificates.context
            assert context is not None, "certificates are loaded before anything listens"
            task = asyncio.create_task(self._negotiate(transport, place, context))
            self._negotiations.add(task)
            task.add_done_callback(self._negotiations.discard)

    async def _negotiate(
        self, transport: asyncio.Transport, place: Place, context: ssl.SSLContext
    ) -> None:
        early = _Early()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                early,
                context,
                server_side=True,
                ssl_handshake_timeout=self._timeout,
                ssl_shutdown_timeout=GOODBYE_TIMEOUT,
            )
        except (OSError, asyncio.CancelledError):
            secured = None
        if secured is None or early.lost:
            # It speaks no TLS, shows a certificate of nobody known, was too slow, or is gone.
            transport.abort()
            place.leave()
            return
        place.abort = secured.abort
        connection = self._make(place)
        secured.set_protocol(connection)
        connection.connection_made(secured)
        if early.data:
            connection.data_received(bytes(early.data))


class _Arrival(asyncio.Protocol):
    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have its methods, and are of no class of asyncio's.
        self._entry.arrive(cast("asyncio.Transport", transport))


class _Early(asyncio.Protocol):
    """Keeps what a client sends in the same moment in which TLS is negotiated."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True


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
