"""The documented clients of PaddleX's service, byte for byte as their libraries send.

Recorded from requests, axios and PHP's curl; the others as their sources write them. All read
`result.categories` and decode `result.image`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import pytest

from tests.support.harness import Worker
from tests.support.http_client import CLASSIFY, connected, read_response
from tests.support.images import base64_of, colour_png

HOST = "127.0.0.1:8080"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
IMAGE = base64_of(colour_png("#336699"))


@dataclass(frozen=True, slots=True)
class Client:
    """What one library puts on the wire; `%d` stands for the body's length."""

    name: str
    headers: tuple[str, ...]
    body: bytes = field(default=b'{"image":"%b"}' % IMAGE.encode())
    version: str = "HTTP/1.1"

    @property
    def head(self) -> bytes:
        lines = "\r\n".join((f"POST {CLASSIFY} {self.version}", *self.headers, "", ""))
        return (lines % len(self.body) if "%d" in lines else lines).encode()


CLIENTS = [
    Client(
        "python-requests",
        (
            f"Host: {HOST}",
            "User-Agent: python-requests/2.34.2",
            "Accept-Encoding: gzip, deflate",
            "Accept: */*",
            "Connection: keep-alive",
            "Content-Length: %d",
            "Content-Type: application/json",
        ),
        # json.dumps puts a space after each colon.
        b'{"image": "%b"}' % IMAGE.encode(),
    ),
    # The documented client names its type among the headers and as the body's own.
    Client(
        "cpp-httplib",
        (
            "Accept: */*",
            "Connection: close",
            "Content-Length: %d",
            "Content-Type: application/json",
            "Content-Type: application/json",
            f"Host: {HOST}",
            "User-Agent: cpp-httplib/0.14.3",
        ),
    ),
    Client(
        "java-okhttp",
        (
            "Content-Type: application/json; charset=utf-8",
            "Content-Length: %d",
            f"Host: {HOST}",
            "Connection: Keep-Alive",
            "Accept-Encoding: gzip",
            "User-Agent: okhttp/4.12.0",
        ),
    ),
    Client(
        "go-net-http-without-content-type",
        (
            f"Host: {HOST}",
            "User-Agent: Go-http-client/1.1",
            "Content-Length: %d",
            "Accept-Encoding: gzip",
        ),
    ),
    Client(
        "csharp-httpclient",
        (f"Host: {HOST}", "Content-Type: application/json; charset=utf-8", "Content-Length: %d"),
    ),
    Client(
        "node-axios-with-a-string",
        (
            "Accept: application/json, text/plain, */*",
            "Content-Type: application/x-www-form-urlencoded",
            "User-Agent: axios/1.21.1",
            "Content-Length: %d",
            "Accept-Encoding: gzip, compress, deflate, br",
            f"Host: {HOST}",
            "Connection: keep-alive",
        ),
    ),
    Client(
        "php-curl",
        (
            f"Host: {HOST}",
            "Accept: */*",
            "Content-Length: %d",
            "Content-Type: application/x-www-form-urlencoded",
        ),
        # json_encode escapes slashes, which Base64 has many of.
        b'{"image":"%b"}' % IMAGE.replace("/", "\\/").encode(),
    ),
    Client(
        "php-curl-with-a-large-body",
        (
            f"Host: {HOST}",
            "Accept: */*",
            "Content-Length: %d",
            "Content-Type: application/x-www-form-urlencoded",
            "Expect: 100-continue",
        ),
        b'{"image":"%b"}%b' % (IMAGE.encode(), b" " * (1 << 20)),
    ),
    Client(
        "chunked",
        (f"Host: {HOST}", "Content-Type: application/json", "Transfer-Encoding: chunked"),
        b'9\r\n{"image":\r\n%x\r\n"%b"}\r\n0\r\n\r\n' % (len(IMAGE) + 3, IMAGE.encode()),
    ),
    Client(
        "http-1.0",
        ("Content-Type: application/json", "Content-Length: %d"),
        version="HTTP/1.0",
    ),
]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client_is_answered(service: Worker, client: Client) -> None:
    with connected(service.port) as connection:
        connection.sendall(client.head)
        if b"Expect:" in client.head:
            assert connection.recv(len(CONTINUE)) == CONTINUE
        connection.sendall(client.body)
        response = read_response(connection)

    assert response.status == 200
    assert response.headers["content-type"].startswith("application/json")
    assert "content-encoding" not in response.headers
    result = response.json["result"]
    assert [type(value) for value in result["categories"][0].values()] == [int, str, float]
    assert base64.b64decode(result["image"], validate=True).startswith(b"\xff\xd8")
