"""Reads request bodies within limits: of size, of time, and of the memory of all bodies."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from aiohttp import web

from worker.budget import Budget, Reservation
from worker.errors import JobError, Reason
from worker.http.bodies import CODINGS, PIECE, DamagedBodyError, Decoder

__all__ = ["Upload"]

OVERHEAD = 64 * 1024
"""Bytes that a body may have besides its image."""


class Upload:
    """Reads bodies.

    Args:
        max_image_bytes: largest encoded image that the pipeline accepts.
        timeout: seconds that a body may take.
        budget: limits the bytes of all bodies and images.

    Attributes:
        max_bytes: size of the largest accepted body, after decompression.
    """

    def __init__(self, max_image_bytes: int, timeout: float, budget: Budget) -> None:
        # Base64 turns three bytes into four, and may have line breaks.
        self.max_bytes = max_image_bytes * 3 // 2 + OVERHEAD
        self._timeout = timeout
        self._budget = budget

    async def read(self, request: web.Request, held: Reservation) -> bytes | bytearray:
        """Read and decompress the body of a request.

        Returns:
            The decompressed body; its bytes are counted in `held`.

        Raises:
            JobError: the body is too large, too slow, empty or damaged, or its encoding is not
                accepted.
        """
        decoder = Decoder(_coding(request))
        body: bytes | bytearray = b""
        arrived, content = 0, request.content
        # A body that is here with its head needs no timer, and is not put together.
        patience = nullcontext() if content.is_eof() else asyncio.timeout(self._timeout)
        try:
            async with patience:
                async for chunk in content.iter_any():
                    arrived += len(chunk)
                    if arrived > self.max_bytes:
                        raise self.too_large()
                    for piece in decoder.feed(chunk):
                        self._count(len(piece), len(body), held)
                        body = _joined(body, piece)
                        if len(piece) == PIECE:
                            # A chunk may inflate to a thousand pieces: let others run.
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
        """Make the error for a body larger than `max_bytes`.

        Returns:
            The error, not raised.
        """
        return JobError(
            Reason.TOO_LARGE,
            f"the request body exceeds {self.max_bytes} bytes; send a smaller image",
        )

    def _count(self, more: int, before: int, held: Reservation) -> None:
        """Count bytes as they arrive: announcing a large body in a header reserves nothing."""
        held.add(more)
        if self._budget.bytes > self._budget.max_bytes:
            raise JobError(
                Reason.UNAVAILABLE, "the service has no room for this body; try again later"
            )
        if before + more > self.max_bytes:
            raise self.too_large()


def _joined(body: bytes | bytearray, piece: bytes) -> bytes | bytearray:
    if not body:
        return piece
    body = body if isinstance(body, bytearray) else bytearray(body)
    body += piece
    return body


def _coding(request: web.Request) -> str:
    coding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if coding not in CODINGS:
        raise JobError(
            Reason.CONTENT_TYPE,
            f"content encoding {coding[:80]!r} is not accepted; use gzip, deflate or none",
        )
    return coding
