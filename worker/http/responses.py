"""The JSON body of every response: `logId`, `errorCode`, `errorMsg` and, on success, `result`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

import orjson
from aiohttp import web

from worker.contract.jobs import ModelIdentity, Outcome
from worker.contract.results import error_fields, outcome_fields
from worker.errors import Failure, Reason

__all__ = ["RETRY_AFTER", "SERVER", "healthy", "new_log_id", "outcome_response", "refuse", "tell"]

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


def outcome_response(log_id: str, outcome: Outcome) -> web.Response:
    """Make the response that has the outcome of a job, in the shape of PaddleX's service.

    Its body has no field for the model, and clients may refuse one that they do not know. So a
    result names its model in headers.

    Returns:
        Status 200 with the result, or the status of the failure.
    """
    status = outcome.status if isinstance(outcome, Failure) else 200
    headers = {"Retry-After": RETRY_AFTER} if status == Reason.UNAVAILABLE.status else {}
    if not isinstance(outcome, Failure) and outcome.model is not None:
        headers |= _model_headers(outcome.model)
    return _in_shape(status, {"logId": log_id, **outcome_fields(outcome)}, headers)


@lru_cache(maxsize=1)
def _model_headers(model: ModelIdentity) -> Mapping[str, str]:
    return {
        # A model may be called anything; a header is ASCII.
        "Model-Name": quote(model.name, safe=" ()[]+,:;=@", errors="replace"),
        "Model-Digest": model.digest,
        "Model-Backend": model.backend,
    }


def refuse(
    log_id: str, status: int, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Make the response to a request that the server itself refuses.

    Args:
        message: what to change about the request.

    Returns:
        A failure with `status`.
    """
    return _in_shape(status, {"logId": log_id, **error_fields(status, message)}, headers)


def tell(log_id: str, status: int, message: str, result: Mapping[str, object]) -> web.Response:
    """Make the response to an operator: whatever the status, `result` has the facts.

    Returns:
        `errorCode` 0 with status 200; else both are the status.
    """
    code = 0 if status == 200 else status
    return _in_shape(status, {"logId": log_id, **error_fields(code, message), "result": result}, {})


def healthy(log_id: str) -> web.Response:
    """Make the response that PaddleX's service gives to its probe `/health`.

    Returns:
        Status 200 with the message `Healthy`.
    """
    return _in_shape(200, {"logId": log_id, **error_fields(0, "Healthy")}, None)


def _in_shape(
    status: int, fields: Mapping[str, object], headers: Mapping[str, str] | None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(fields),
        status=status,
        content_type="application/json",
        headers={"Server": SERVER, **(headers or {})},
    )
