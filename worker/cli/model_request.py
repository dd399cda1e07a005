"""Asks a running worker for its model, or for another one; see `worker.cli.model`."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.top.scrape import Address

__all__ = ["Answer", "NoAnswerError", "request"]

PATH = "/admin/model"

MAX_BYTES = 1024 * 1024
"""Bytes of an answer that are read."""


class NoAnswerError(Exception):
    """No worker answers, or it does not let this client ask; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says.

    Attributes:
        message: `Success`, or what to change.
        result: the facts; None if there are none.
    """

    status: int
    message: str
    result: dict[str, Any] | None


def request(address: Address, model: str | None, timeout: float) -> Answer:
    """Ask a worker, and wait for its answer: a change of the model takes as long as loading it.

    Args:
        address: of the port with its metrics; a path is that of a proxy.
        model: to change to; None asks which one serves.
        timeout: seconds without any byte.

    Returns:
        The answer, whatever its status.

    Raises:
        NoAnswerError: there is none.
    """
    # `read_address` has put the path of the metrics where there was none.
    base = address.path.removesuffix("/metrics").rstrip("/")
    headers = {"Content-Type": "application/json"}
    if address.credentials.token:
        headers["Authorization"] = f"Bearer {address.credentials.token}"
    body = None if model is None else json.dumps({"model": model})
    connection = address.connect(timeout)
    try:
        connection.request("GET" if model is None else "POST", f"{base}{PATH}", body, headers)
        response = connection.getresponse()
        text = response.read(MAX_BYTES)
    except TimeoutError:
        raise NoAnswerError(
            f"{address.name} has not answered within {timeout:g} s; classify-worker model show "
            "tells what it is doing"
        ) from None
    except ssl.SSLError as error:
        raise NoAnswerError(f"{address.name}: {error.reason or 'TLS failed'}") from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        raise NoAnswerError(
            f"no worker answers at {address.name}: {why}; --url says where its metrics are "
            "(http.metrics_port, else http.port)"
        ) from None
    finally:
        connection.close()
    return _read(address, response.status, text)


def _read(address: Address, status: int, text: bytes) -> Answer:
    try:
        body = json.loads(text)
        answer = Answer(status, str(body["errorMsg"]), body.get("result"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoAnswerError(
            f"what answers at {address.name} is no worker, or an older one (status {status})"
        ) from None
    if status == http.client.UNAUTHORIZED:
        raise NoAnswerError(f"{address.name}: {answer.message}: --token-file")
    if status in (http.client.FORBIDDEN, http.client.NOT_FOUND):
        raise NoAnswerError(f"{address.name}: {answer.message}")
    return answer
