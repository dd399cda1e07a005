"""Reads the body of an answer to a fetch: plain bytes, and not too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.errors import JobError, Reason
from worker.images.fetch_errors import StatusError
from worker.images.retry_after import parse_retry_after

if TYPE_CHECKING:
    import aiohttp

    from worker.clock import Clock

__all__ = ["read_image"]

_PLAIN_ENCODINGS = frozenset({"", "identity", "aws-chunked"})
"""Values of `Content-Encoding` that leave the body as it is; S3 sends the last one on by
mistake."""

_KNOWN_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate", "compress", "br", "zstd"})
"""What an error message names; anything else in that header stays the server's secret."""

_SUCCESS = frozenset({200, 203})

_MOST_PIECES = 64
"""Pieces that are kept as they came until they are joined."""


async def read_image(response: aiohttp.ClientResponse, most: int, clock: Clock) -> bytes:
    """Read an answer whose head has come.

    Args:
        most: bytes that it may have.
        clock: what `Retry-After` is told by.

    Returns:
        The body as it was sent.

    Raises:
        StatusError: it is no image.
        JobError: `TOO_LARGE`, or `FETCH_REFUSED` for a compressed answer.
        aiohttp.ClientError: the connection broke.
    """
    if response.status not in _SUCCESS:
        retry_after = parse_retry_after(response.headers.get("Retry-After"), clock.wall())
        raise StatusError(response.status, retry_after)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise JobError(
            Reason.FETCH_REFUSED,
            f"the image's server compresses its answer{_named(encoding)} although asked not "
            "to; turn that off for images",
        )
    if (response.content_length or 0) > most:
        raise _too_large(most)
    return await _read(response.content, most)


async def _read(content: aiohttp.StreamReader, most: int) -> bytes:
    # What comes in one piece, as many images do, is not copied, and a few are joined once. But a
    # server may send a few bytes at a time: as pieces they would take many times as much memory.
    pieces: list[bytes] = []
    joined = bytearray()
    size = 0
    while piece := await content.readany():
        size += len(piece)
        if size > most:
            raise _too_large(most)
        pieces.append(piece)
        if len(pieces) == _MOST_PIECES:
            joined += b"".join(pieces)
            pieces.clear()
    if not joined:
        return b"".join(pieces)
    joined += b"".join(pieces)
    return bytes(joined)


def _named(encoding: str) -> str:
    """Name a known encoding in brackets: no text of a server gets into an answer."""
    known = [part for part in encoding.replace(" ", "").split(",") if part in _KNOWN_ENCODINGS]
    return f" ({', '.join(known)})" if known else ""


def _too_large(most: int) -> JobError:
    return JobError(
        Reason.TOO_LARGE, f"the image has more than the {most} bytes accepted; send a smaller one"
    )
