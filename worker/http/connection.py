"""A client's connection, which answers malformed requests in the service's shape.

aiohttp calls `web.RequestHandler.handle_error` with what its parser raised. The method is public,
and only the listening socket needs to know this class. Harmless duplicate headers, which the parser
would refuse, are removed before it sees them (`heads.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError, LineTooLong

from worker.http.heads import Head
from worker.http.places import Place
from worker.http.responses import new_log_id, refuse

__all__ = ["Connection"]

MAX_LINE = 8190
"""Longest request line read, in bytes."""

MAX_HEADER = 8192
"""Longest header read, in bytes. It differs from `MAX_LINE`, since only the limit in aiohttp's
error tells whether the request line or a header was too long."""

MAX_SHOWN = 200
"""Most characters of the parser's message that an answer repeats; some quote the client's bytes."""

log = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """One connection.

    aiohttp does not decompress bodies: on an encoding that it does not know it would close the
    connection while the client is still sending, and the client might never see the answer.

    Args:
        head_timeout: seconds for a request's head to be complete, from the connection's beginning
            or the last answer; after that the connection is closed.
        place: given back when it is lost.
    """

    __slots__ = ("_body", "_head", "_left", "place")

    def __init__(self, manager: web.Server, place: Place, *, head_timeout: float) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            # aiohttp starts this timer with the connection, and an incomplete head does not stop
            # it.
            keepalive_timeout=head_timeout,
            # Frequent probes would hide the lines that matter.
            access_log=None,  # type: ignore[arg-type] # documented; the annotation forgets it
            max_line_size=MAX_LINE,
            max_field_size=MAX_HEADER,
            auto_decompress=False,
        )
        self.place = place
        # `_head` is the head that arrives or is expected, or None within a body. `_left` is the
        # number of bytes that are left of that body, or None if only the parser knows.
        self._head: Head | None = Head()
        self._left: int | None = None
        self._body: StreamReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; what is ended for another connection is this transport from now on."""
        self.place.abort = cast("asyncio.Transport", transport).abort
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let others have the place."""
        self.place.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes. A body that they break fails at once."""
        if not data:
            # aiohttp calls itself like this to go on with bytes that its parser already has.
            super().data_received(data)
        while data:
            head = self._head
            data = self._take_body(data) if head is None else self._take_head(head, data)
        self.end_broken_body()

    def _take_head(self, head: Head, data: bytes) -> bytes:
        """Pass bytes of a head to the parser; return those that follow the head.

        Nothing is returned when only the parser knows where the body ends.
        """
        passed, rest = head.feed(data)
        if head.ended and head.in_chunks:
            # In one call: if the body's first bytes are broken, the request is malformed.
            passed, rest = passed + rest, b""
        made = self._parse(passed) if passed else []
        if head.ended:
            self._head, self._left = None, None
            # Unless exactly one request was parsed, it is not known where the next one begins.
            if len(made) == 1 and isinstance(made[0], RawRequestMessage):
                if made[0].chunked:
                    self._end_in_chunks(passed)
                else:
                    self._left = int(made[0].headers.get("Content-Length", "0"))
                    self._head = Head() if self._left == 0 else None
        return rest

    def _take_body(self, data: bytes) -> bytes:
        """Pass bytes of a body to the parser; return those that follow the body."""
        if self._left is None:
            if not self._parse(data):
                self._end_in_chunks(data)
            return b""
        body, rest = data[: self._left], data[self._left :]
        self._parse(body)
        self._left -= len(body)
        if self._left == 0:
            self._head = Head()
        return rest

    def _end_in_chunks(self, data: bytes) -> None:
        """Expect a head if the body ended with `data`, in which no other request ended."""
        if data.endswith(b"\r\n\r\n") and self._body is not None and self._body.is_eof():
            self._head = Head()

    def _parse(self, data: bytes) -> list[object]:
        """Pass bytes to the parser; return the requests and errors that it made of them."""
        # aiohttp has no public access to them. Without the attribute, duplicate headers of later
        # requests are not removed.
        queue: Sequence[tuple[object, StreamReader]] = getattr(self, "_messages", ())
        before = len(queue)
        super().data_received(data)
        made = list(queue)[before:]
        if made:
            self._body = made[-1][1]
        return [message for message, _ in made]

    def end_broken_body(self) -> None:
        """Fail the request under way if the bytes after its head cannot be its body.

        Call it at the start of each request as well: the error may arrive before the handler
        starts.
        """
        # aiohttp's compiled parser queues an error behind the request whose body it could not
        # read, and leaves that request waiting for more. Nothing else can follow an unfinished
        # body. There is no public way to see this; without these attributes the request would
        # end with http.read_timeout.
        request: web.BaseRequest | None = getattr(self, "_current_request", None)
        if request is not None and getattr(self, "_messages", None):
            body = request.content
            if not body.is_eof():
                body.set_exception(web.RequestPayloadError("the body's framing is broken"))
                # Else aiohttp would read on before it closes, and log an error of its own.
                body.feed_eof()
                # One request, one answer: what is queued would get a second one.
                self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be read as a request.

        Returns:
            The answer, after which the connection is closed.

        Raises:
            ConnectionError: an answer has begun, so that only its breaking off can tell.
        """
        log_id = new_log_id()
        if status < 500:
            status, said = _explained(status, exc, message)
            log.debug("request_malformed", log_id=log_id, status=status, message=said)
        else:
            said = "internal error; the worker's log has more"
            log.error("request_raised", log_id=log_id, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        response = refuse(log_id, status, said)
        response.force_close()
        return response


def _explained(status: int, error: BaseException | None, message: str | None) -> tuple[int, str]:
    """Status and message for what the parser raised."""
    # Some of its errors go on with the bytes at fault and a pointer to them.
    words = " ".join((message or "").partition("\n\n")[0].split()).rstrip(":.")[:MAX_SHOWN]
    if isinstance(error, LineTooLong):
        if MAX_LINE in error.args:
            return 414, f"the request line exceeds {MAX_LINE} bytes; send the image in the body"
        return 431, f"a header exceeds {MAX_HEADER} bytes; send shorter headers"
    if words.startswith("Too many headers"):
        return 431, "the request has too many headers; send fewer"
    if isinstance(error, BadHttpMethod):
        return status, (
            f"no known method begins the request ({words}); use GET or POST over plain HTTP/1.1, "
            "and a Content-Length that is the length of the body"
        )
    if isinstance(error, InvalidURLError):
        return status, f"the request's path is malformed ({words}); escape it as URLs prescribe"
    return status, f"the request is malformed ({words}); send it as HTTP/1.1 prescribes"
