"""A request's body, taken in within bounds of size, of time, and of what all bodies may hold."""

from __future__ import annotations

import asyncio

from aiohttp import web

from worker.budget import Budget, Reservation
from worker.errors import JobError, Reason
from worker.http.bodies import CODINGS, PIECE, DamagedBodyError, Decoder

__all__ = ["Upload"]

OVERHEAD = 64 * 1024
"""Bytes of a body besides its image."""


class Upload:
    """Reads bodies.

    Args:
        max_image_bytes: largest encoded image that the pipeline accepts.
        timeout: seconds that a body may take.
        budget: what all bodies and images may hold.

    Attributes:
        max_bytes: the largest body, as it is once it is decompressed.
    """

    def __init__(self, max_image_bytes: int, timeout: float, budget: Budget) -> None:
        # Base64 makes four bytes of three, and may come in lines.
        self.max_bytes = max_image_bytes * 3 // 2 + OVERHEAD
        self._timeout = timeout
        self._budget = budget

    async def read(self, request: web.Request, held: Reservation) -> bytearray:
        """The request's body as it was before its client compressed it.

        Raises:
            JobError: it is too large, too slow, empty, damaged on its way, or compressed in a way
                that is not known here.
        """
        decoder = Decoder(_coding(request))
        body, arrived = bytearray(), 0
        try:
            async with asyncio.timeout(self._timeout):
                async for chunk in request.content.iter_any():
                    arrived += len(chunk)
                    if arrived > self.max_bytes:
                        raise self.too_large()
                    for piece in decoder.feed(chunk):
                        self._take(piece, body, held)
                        if len(piece) == PIECE:
                            # There may be a thousand more of them in a chunk.
                            await asyncio.sleep(0)
            decoder.end()
        except TimeoutError as error:
            raise JobError(
                Reason.REQUEST_TIMEOUT,
                f"the request body did not arrive within {self._timeout:g} s",
            ) from error
        except web.RequestPayloadError as error:
            raise JobError(
                Reason.NOT_JSON,
                "the request body cannot be read; check its chunks and its length",
            ) from error
        except DamagedBodyError as error:
            raise JobError(
                Reason.NOT_JSON, f"the request body {error}; check how it is compressed"
            ) from error
        if not body:
            raise JobError(
                Reason.EMPTY_VALUE, "the request body is empty; send a JSON object or an image file"
            )
        return body

    def too_large(self) -> JobError:
        """What a body is answered that is larger than `max_bytes`."""
        return JobError(
            Reason.TOO_LARGE,
            f"the request body exceeds {self.max_bytes} bytes; send a smaller image",
        )

    def _take(self, piece: bytes, body: bytearray, held: Reservation) -> None:
        # By what arrives, not by what is announced: nobody can take room with a header alone.
        held.add(len(piece))
        if self._budget.bytes > self._budget.max_bytes:
            raise JobError(
                Reason.UNAVAILABLE, "the service has no room for this body; try again later"
            )
        body += piece
        if len(body) > self.max_bytes:
            raise self.too_large()


def _coding(request: web.Request) -> str:
    coding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if coding not in CODINGS:
        raise JobError(
            Reason.CONTENT_TYPE,
            f"content encoding {coding[:80]!r} is not accepted; use gzip, deflate or none",
        )
    return coding
