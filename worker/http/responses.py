"""The shape of every answer: `logId`, `errorCode`, `errorMsg` and, on success, `result`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import orjson
from aiohttp import web

from worker.contract.jobs import Outcome
from worker.contract.messages import outcome_fields
from worker.errors import Failure, Reason

__all__ = ["SERVER", "answer", "healthy", "new_log_id", "refuse"]

SERVER = "classify-worker"
"""The `Server` header. aiohttp's default would reveal its version and Python's."""

RETRY_AFTER = "1"
"""Seconds after which a client that was turned away may try again."""


def new_log_id() -> str:
    """Make an id for one request, by which its log line can be found.

    Returns:
        A random UUID.
    """
    return str(uuid.uuid4())


def answer(log_id: str, outcome: Outcome) -> web.Response:
    """Make the response to a job, in the shape of PaddleX's service.

    Returns:
        Status 200 with the result, or the status of the failure.
    """
    status = outcome.status if isinstance(outcome, Failure) else 200
    headers = {"Retry-After": RETRY_AFTER} if status == Reason.UNAVAILABLE.status else None
    return _in_shape(status, {"logId": log_id, **outcome_fields(outcome)}, headers)


def refuse(
    log_id: str, status: int, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Make the response to a request that the server itself refuses.

    Args:
        message: what to change about the request.

    Returns:
        A failure with `status`.
    """
    return _in_shape(status, {"logId": log_id, "errorCode": status, "errorMsg": message}, headers)


def healthy(log_id: str) -> web.Response:
    """Make the response that PaddleX's service gives to its probe `/health`.

    Returns:
        Status 200 with the message `Healthy`.
    """
    return _in_shape(200, {"logId": log_id, "errorCode": 0, "errorMsg": "Healthy"}, None)


def _in_shape(
    status: int, fields: Mapping[str, object], headers: Mapping[str, str] | None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(fields),
        status=status,
        content_type="application/json",
        headers={"Server": SERVER, **(headers or {})},
    )
