"""Every answer's shape: `logId`, `errorCode`, `errorMsg` and, on success, `result`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from urllib.parse import quote

import orjson
from aiohttp import web

from worker.contract.jobs import ModelIdentity, Outcome
from worker.contract.messages import outcome_fields
from worker.errors import Failure, Reason

__all__ = ["SERVER", "answer", "healthy", "new_log_id", "refuse"]

SERVER = "classify-worker"
"""The `Server` header: aiohttp's own would tell the versions of Python and of itself."""

RETRY_AFTER = "1"
"""Seconds after which a client that was turned away may try again."""


def new_log_id() -> str:
    """A name for one request, by which its line in the log can be found."""
    return str(uuid.uuid4())


def answer(log_id: str, outcome: Outcome, model: ModelIdentity | None = None) -> web.Response:
    """Answer a request as PaddleX's service does.

    Its body has no field for the model, and clients may refuse one that they do not know, so that a
    result names its model in headers.

    Args:
        model: what computed a result.
    """
    status = outcome.status if isinstance(outcome, Failure) else 200
    headers = {"Retry-After": RETRY_AFTER} if status == Reason.UNAVAILABLE.status else {}
    if model is not None and not isinstance(outcome, Failure):
        headers |= {
            # A model may be called anything; a header is ASCII.
            "Model-Name": quote(model.name, safe=" ()[]+,:;=@", errors="replace"),
            "Model-Digest": model.digest,
            "Model-Backend": model.backend,
        }
    return _in_shape(status, {"logId": log_id, **outcome_fields(outcome)}, headers)


def refuse(
    log_id: str, status: int, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """What the server itself refuses; `message` says what to change."""
    return _in_shape(status, {"logId": log_id, "errorCode": status, "errorMsg": message}, headers)


def healthy(log_id: str) -> web.Response:
    """PaddleX's answer to its own probe."""
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
