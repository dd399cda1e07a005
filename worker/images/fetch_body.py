"""Reads the body of an answer to a fetch: plain bytes, not too many, and not too slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.errors import JobError, Reason
from worker.images.fetch_errors import StatusError, TooSlowError
from worker.images.retry_after import parse_retry_after

if TYPE_CHECKING:
    import aiohttp

    from worker.clock import Clock
    from worker.settings import FetchSettings

__all__ = ["read_image"]

_PLAIN_ENCODINGS = frozenset({"", "identity", "aws-chunked"})
"""Values of `Content-Encoding` that leave the body as it is; S3 sends the last one on by
mistake."""

_KNOWN_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate", "compress", "br", "zstd"})
"""What an error message names; anything else in that header stays the server's secret."""

_SUCCESS = frozenset({200, 203})


async def read_image(
    response: aiohttp.ClientResponse, limits: FetchSettings, clock: Clock
) -> bytes:
    """Read an answer whose head has come, within the limits on its size and speed.

    Args:
        clock: what speed and `Retry-After` are told by.

    Returns:
        The body as it was sent.

    Raises:
        StatusError: it is no image.
        JobError: `TOO_LARGE`, or `FETCH_REFUSED` for a compressed answer.
        TooSlowError: less than `fetch.min_speed` arrived.
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
    most = limits.max_bytes
    if (response.content_length or 0) > most:
        raise _too_large(most)
    window = limits.read_timeout
    least = limits.min_speed * window
    window_end, window_start = clock.monotonic() + window, 0
    # One buffer, not a list of chunks: a server may send single bytes, a list entry each. What
    # comes in one piece, as most images do, is not copied.
    body: bytes | bytearray = b""
    async for chunk in response.content.iter_any():
        if not body:
            body = chunk
        elif isinstance(body, bytes):
            body = bytearray(body)
            body += chunk
        else:
            body += chunk
        if len(body) > most:
            raise _too_large(most)
        # No timer: a server that sends nothing at all runs into `sock_read`.
        if clock.monotonic() >= window_end:
            if len(body) - window_start < least:
                raise TooSlowError
            window_end, window_start = clock.monotonic() + window, len(body)
    return bytes(body)


def _named(encoding: str) -> str:
    """Name a known encoding in brackets: no text of a server gets into an answer."""
    known = [part for part in encoding.replace(" ", "").split(",") if part in _KNOWN_ENCODINGS]
    return f" ({', '.join(known)})" if known else ""


def _too_large(most: int) -> JobError:
    return JobError(
        Reason.TOO_LARGE, f"the image has more than the {most} bytes accepted; send a smaller one"
    )
