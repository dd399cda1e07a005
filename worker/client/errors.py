"""Why a job of a client has no result."""

from __future__ import annotations

from dataclasses import dataclass

from worker.errors import KafkaSetupError, WorkerError

__all__ = [
    "ClientClosed",
    "ClientError",
    "JobRefused",
    "KafkaSetupError",
    "ResultTimeout",
    "ServiceError",
    "refusal_reason",
]

_REASONS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "request_timeout",
    413: "content_too_large",
    415: "unsupported_media_type",
    422: "unprocessable_content",
    424: "failed_dependency",
    429: "too_many_requests",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}
"""As RFC 9110 names them; the names in `http.HTTPStatus` differ between versions of Python."""


def refusal_reason(code: int) -> str:
    """Name an `errorCode`.

    Returns:
        The name of the HTTP status in RFC 9110, in small letters, such as `not_found`; `http_NNN`
        for one that no worker uses.
    """
    return _REASONS.get(code, f"http_{code}")


class ClientError(WorkerError):
    """Base of what a client raises about one job, or about its own use.

    ClientError
    ├── JobRefused      the job ended without success; says why
    ├── ResultTimeout   no result in time; a `TimeoutError` as well
    ├── ServiceError    the service cannot be reached, or what it answers is no result
    └── ClientClosed    the client is not open; a `RuntimeError` as well

    Where Kafka itself cannot be used, clients raise `KafkaSetupError`, which is no `ClientError`:
    it is about all jobs. Both are a `WorkerError`.
    """


@dataclass(eq=False)
class JobRefused(ClientError):  # noqa: N818 - reads as what happened: `except JobRefused`
    """A job ended without success, or could not be sent.

    Attributes:
        code: the result's `errorCode`, an HTTP status; None if the job was not sent.
        reason: a word for programs: the code's name (`refusal_reason`) or, if the job was not sent,
            the label of the reason: `not_found`, `too_large`, `not_an_image`.
        message: one sentence that says what to change.
        job_id: the job's id.
    """

    code: int | None
    reason: str
    message: str
    job_id: str

    def __str__(self) -> str:
        return self.message if self.code is None else f"{self.code} {self.reason}: {self.message}"


@dataclass(eq=False)
class ResultTimeout(ClientError, TimeoutError):  # noqa: N818 - as above
    """A job has no result within its time.

    The worker may do the job all the same; its result is then ignored.

    Attributes:
        message: says how long was waited.
        job_id: the job's id.
    """

    message: str
    job_id: str

    def __str__(self) -> str:
        return self.message


class ServiceError(ClientError):
    """The service cannot be reached, or what it answers is no result; the message says which."""


class ClientClosed(ClientError, RuntimeError):  # noqa: N818 - as above
    """The client is not open: use it within `with` or `async with`."""
