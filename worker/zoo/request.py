"""One HTTP request for an archive, or for the rest of one, with the standard library.

Proxies (`HTTPS_PROXY`, `NO_PROXY` ...) and authorities (`SSL_CERT_FILE`, `SSL_CERT_DIR`) come from
the environment.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import IO

from worker import __version__
from worker.redaction import without_secrets

__all__ = ["Body", "InterruptedTransferError", "RefusedTransferError", "get"]

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class InterruptedTransferError(Exception):
    """The transfer broke off; another request may go on where it ended."""


class RefusedTransferError(Exception):
    """The server will not give the file; asking again would not help.

    Attributes:
        status: the response's.
        size: of the whole file, when what was asked for lies behind its end.
    """

    def __init__(self, status: int, message: str, size: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.size = size


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a file from some position on.

    Attributes:
        start: position of the first byte: 0, although the rest was asked for, when the server has
            another file by now or gives no parts.
        total: size of the whole file, None when the server does not say.
        validator: identifies the file's content in a later request for its rest; None when the
            server gives nothing that could.
        stream: raises OSError or `http.client.HTTPException` when the connection breaks.
    """

    start: int
    total: int | None
    validator: str | None
    stream: IO[bytes]


@contextmanager
def get(url: str, start: int, validator: str | None, timeout: float) -> Iterator[Body]:
    """Ask for a file from `start` on, provided that it is still the one of `validator`.

    Args:
        validator: None asks for the rest of whatever the file is by now.
        timeout: longest silence in seconds.

    Returns:
        The answer, as a context.

    Raises:
        InterruptedTransferError: the server cannot be reached or cannot answer now.
        RefusedTransferError: the server says no, or what it says makes no sense.
    """
    headers = {"User-Agent": f"classify-worker/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the opener knows HTTP alone
    try:
        response = _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        message = f"{url} answered {error.code} {error.reason}"
        error.close()
        if error.code in TRANSIENT:
            raise InterruptedTransferError(message) from error
        end = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        raise RefusedTransferError(error.code, message, int(end[1]) if end else None) from error
    except urllib.error.URLError as error:
        raise InterruptedTransferError(f"{url} cannot be reached: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise InterruptedTransferError(f"{url} gave no answer: {_text(error)}") from error
    with response:
        yield _body(url, start, response)


def _body(url: str, start: int, response: http.client.HTTPResponse) -> Body:
    headers = response.headers
    length = headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start:
            raise RefusedTransferError(
                response.status,
                f"{url} was asked for bytes from {start} on and sent others "
                f"({headers.get('Content-Range')})",
            )
        return Body(start, int(found[2]), _validator(headers), response)
    return Body(0, total, _validator(headers), response)


def _validator(headers: Message | Mapping[str, str]) -> str | None:
    etag = headers.get("ETag")
    # A weak one does not promise equal bytes, and If-Range does not take it.
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def _opener() -> urllib.request.OpenerDirector:
    """Without the handlers of other schemes, so that no redirect leads to a file."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    return opener


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but none from https to what anybody on the way could change.

    The proxy's credentials stay with the proxy: urllib keeps them among the request's headers,
    which it copies to the next request, though that one may lead to a server directly.
    """

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            raise RefusedTransferError(
                code, f"{req.full_url} redirects to {without_secrets(newurl)}: not https"
            )
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.remove_header("Proxy-authorization")
        return new


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
