"""From what can go wrong with a fetch to the answer that the producer gets.

Answers name the host at most: paths and queries may hold secrets, and the text of system errors
addresses inside the network.
"""

from __future__ import annotations

import http
import os

import aiohttp

from worker.errors import JobError, Reason
from worker.proxies import UnusableProxyError

__all__ = [
    "ForbiddenAddressError",
    "StatusError",
    "TooSlowError",
    "UnresolvedError",
    "explain",
]

_TRANSIENT_STATUSES = frozenset({408, 425, 429})
_GONE = frozenset({404, 410})


class ForbiddenAddressError(OSError):
    """The address is not allowed.

    An `OSError`, as that makes aiohttp try the name's other addresses before it gives up.

    Attributes:
        job_error: the error for the job, which names the address.
    """

    def __init__(self, job_error: JobError) -> None:
        super().__init__("the address is not allowed")
        self.job_error = job_error


class StatusError(Exception):
    """The server answered, but not with an image.

    Attributes:
        status: HTTP status.
        retry_after: seconds that the server asks to wait, if it does.
    """

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after


class TooSlowError(TimeoutError):
    """The server sends, but less than `fetch.min_speed`."""


class UnresolvedError(OSError):
    """A host name has no addresses, or none can be had now.

    Attributes:
        host: the name.
    """

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} cannot be resolved")
        self.host = host


_ANSWERS: tuple[tuple[type[Exception], Reason, str, bool], ...] = (
    (TooSlowError, Reason.FETCH_TIMEOUT, "the image's server sends too slowly", True),
    (TimeoutError, Reason.FETCH_TIMEOUT, "the image's server did not answer in time", True),
    (
        # An answer that is not HTTP, or a proxy's refusal; bad statuses are `StatusError`.
        aiohttp.ClientResponseError,
        Reason.FETCH_FAILED,
        "the image's server does not answer in valid HTTP",
        False,
    ),
    (
        aiohttp.ClientPayloadError,
        Reason.FETCH_FAILED,
        "the image's server broke off or garbled its answer",
        True,
    ),
    (
        aiohttp.ClientConnectionError,
        Reason.FETCH_FAILED,
        "the connection to the image's server broke",
        True,
    ),
    (OSError, Reason.FETCH_FAILED, "the connection to the image's server broke", True),
    (
        UnusableProxyError,
        Reason.FETCH_FAILED,
        "the proxy that this worker's environment names is no http or https address",
        False,
    ),
    (
        # aiohttp.InvalidURL is one, and so is the error for a name that DNS cannot encode.
        ValueError,
        Reason.BAD_URL,
        "the URL's host name is malformed; check its spelling",
        False,
    ),
)
"""Exception, reason, message, transient; the first that fits counts."""


def explain(error: Exception) -> JobError:
    """Translate an exception of a fetch.

    Returns:
        The error for the job; transient if another try may help.
    """
    if isinstance(error, JobError):
        return error
    if isinstance(error, StatusError):
        return _status(error.status)
    if isinstance(error, UnresolvedError):
        return _unresolved(error.host)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connect(error)
    for kind, reason, message, transient in _ANSWERS:
        if isinstance(error, kind):
            return JobError(reason, message, transient)
    return _failed("the image's server answers in a way that cannot be used")


def _status(status: int) -> JobError:
    shown = str(status)
    if status in set(http.HTTPStatus):
        shown += f" {http.HTTPStatus(status).phrase}"
    if status in _GONE:
        return JobError(Reason.NOT_FOUND, f"there is no image at the URL (HTTP {shown})")
    if status in _TRANSIENT_STATUSES or status >= 500:
        return _failed(f"the image's server answered HTTP {shown}", transient=True)
    return JobError(
        Reason.FETCH_REFUSED,
        f"the image's server answered HTTP {shown}; the URL must be readable with a plain GET",
    )


def _connect(error: aiohttp.ClientConnectorError) -> JobError:
    cause = error.os_error
    if isinstance(cause, ForbiddenAddressError):
        return cause.job_error
    host = repr(error.host)
    match error:
        case aiohttp.ClientConnectorDNSError():
            return _unresolved(error.host)
        case aiohttp.ClientConnectorCertificateError():
            return _failed(f"the certificate of {host} is not valid for it, or not trusted here")
        case aiohttp.ClientSSLError():
            return _failed(f"no TLS connection to {host} can be made; is it an http URL?")
        case _:
            why = os.strerror(cause.errno) if cause.errno else "it does not answer"
            return _failed(f"no connection to {host} can be made: {why}", transient=True)


def _unresolved(host: str) -> JobError:
    return _failed(f"the host name {host!r} cannot be resolved", transient=True)


def _failed(message: str, *, transient: bool = False) -> JobError:
    return JobError(Reason.FETCH_FAILED, message, transient)
