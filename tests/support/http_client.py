"""An HTTP client that hides nothing: one request, or exact bytes, and what came back."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["CLASSIFY", "JSON", "Response", "ask", "classify", "connected", "head", "read_response"]

CLASSIFY = "/image-classification"
JSON = {"Content-Type": "application/json"}
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Response:
    """A response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def failure(self) -> tuple[int, str]:
        """Status and message of a failure, which must be in the service's shape."""
        assert self.headers["content-type"].startswith("application/json"), self
        assert self.json.keys() == {"logId", "errorCode", "errorMsg"}, self.json
        assert self.json["errorCode"] == self.status
        assert self.json["logId"]
        return self.status, self.json["errorMsg"]


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, dict(headers or {}))
        return _taken(connection.getresponse())
    finally:
        connection.close()


def classify(port: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """A request to classify, announced as JSON unless `headers` say otherwise."""
    return ask(port, "POST", CLASSIFY, body, JSON if headers is None else headers)


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection for exact bytes."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        yield connection


def head(length: int | None, *more: str) -> bytes:
    """Request line and headers of a request to classify, `length` bytes of JSON to follow."""
    lines = [f"POST {CLASSIFY} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def read_response(connection: socket.socket) -> Response:
    """The next response on a connection that has no other one under way."""
    response = http.client.HTTPResponse(connection, method="POST")
    response.begin()
    return _taken(response)


def _taken(response: http.client.HTTPResponse) -> Response:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Response(response.status, headers, response.read())
