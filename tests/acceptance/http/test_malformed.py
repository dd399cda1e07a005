"""What is no request, or asks for what no server has to know: answered in the service's shape."""

from __future__ import annotations

import socket

import pytest

from tests.support.harness import Worker
from tests.support.http_client import ask, classify, connected, head, read_response

LONG = b"a" * 9000
HOST = b"Host: 127.0.0.1\r\n"
CHUNKED = "Transfer-Encoding: chunked"
END = b"0\r\n\r\n"


def rest(connection: socket.socket) -> bytes:
    """All that still comes, up to the end of the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_bytes", "status", "says"),
    [
        (b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "use GET or POST"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "HTTPS traffic"),
        (b"\0\0\0\r\n\r\n", 400, "use GET or POST"),
        (head(None, "Content-Length: abc"), 400, "Content-Length"),
        (head(None, "Content-Length: -1"), 400, "Content-Length"),
        (head(1, "Content-Length: 2"), 400, "Content-Length"),
        (head(1, CHUNKED), 400, "Transfer-Encoding"),
        (head(None, CHUNKED) + b"zz\r\n", 400, "chunk size"),
        (head(None, "no colon"), 400, "header"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "'Host'"),
        (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 400, "HTTP version"),
        (b"GET http://[::1 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "path is malformed"),
        (b"GET /" + LONG + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "exceeds 8190 bytes"),
        (head(0, "X-Long: " + LONG.decode()), 431, "exceeds 8192 bytes"),
        (head(0, LONG.decode() + ": x"), 431, "exceeds 8192 bytes"),
        (head(0, *(f"X-{n}: x" for n in range(200))), 431, "too many headers"),
    ],
)
def test_what_is_no_request(service: Worker, request_bytes: bytes, status: int, says: str) -> None:
    with connected(service.port) as connection:
        connection.sendall(request_bytes)
        response = read_response(connection)
        # What would follow cannot be told from the request's own remains.
        assert rest(connection) == b""

    got, message = response.failure()
    assert got == status
    assert says in message
    assert "\n" not in message


def test_broken_chunks_are_answered_once_and_at_once(service: Worker) -> None:
    with connected(service.port) as connection:
        connection.sendall(head(None, CHUNKED, "Expect: 100-continue"))
        # The request is under way when its body breaks.
        assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 100"
        assert connection.recv(13, socket.MSG_WAITALL) == b" Continue\r\n\r\n"
        connection.sendall(b"zz\r\n")
        status, message = read_response(connection).failure()
        assert rest(connection) == b""

    assert status == 400
    assert "check its chunks" in message


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "rot13"])
def test_encodings_that_are_not_known(service: Worker, coding: str, small_request: bytes) -> None:
    # A body in chunks, sent to its end although the answer is clear from the head.
    large = b"%x\r\n%b\r\n" % (1 << 20, bytes(1 << 20))
    with connected(service.port) as connection:
        connection.sendall(head(None, CHUNKED, f"Content-Encoding: {coding}") + 8 * large + END)
        status, message = read_response(connection).failure()
        connection.sendall(head(len(small_request)) + small_request)
        assert read_response(connection).status == 200

    assert status == 415
    assert message == f"content encoding '{coding}' is not accepted; use gzip, deflate or none"


@pytest.mark.parametrize("path", ["/image-classification", "/livez", "/nowhere"])
def test_expectations_that_cannot_be_met(service: Worker, path: str) -> None:
    method = "POST" if path == "/image-classification" else "GET"
    status, message = ask(service.port, method, path, headers={"Expect": "miracles"}).failure()

    assert status == 417
    assert "100-continue" in message


@pytest.mark.parametrize("wanted", ["bytes=9999999-", "lines=1-2"])
def test_ranges_that_the_page_does_not_have(service: Worker, wanted: str) -> None:
    status, message = ask(service.port, "GET", "/", headers={"Range": wanted}).failure()

    assert status == 416
    assert "send no Range" in message


def test_range_of_the_page(service: Worker) -> None:
    response = ask(service.port, "GET", "/", headers={"Range": "bytes=0-14"})

    assert (response.status, response.body) == (206, b"<!doctype html>")


def test_answers_tell_no_versions(service: Worker, small_request: bytes) -> None:
    answers = [
        classify(service.port, small_request),
        classify(service.port, b"{}"),
        ask(service.port, "GET", "/nowhere"),
        ask(service.port, "GET", "/metrics"),
        ask(service.port, "GET", "/"),
    ]
    with connected(service.port) as connection:
        connection.sendall(b"FOO\r\n\r\n")
        answers.append(read_response(connection))

    assert {answer.headers["server"] for answer in answers} == {"classify-worker"}


def test_failures_have_one_content_type(service: Worker) -> None:
    answers = [
        classify(service.port, b"{}"),
        ask(service.port, "GET", "/nowhere"),
        ask(service.port, "GET", "/image-classification"),
        ask(service.port, "GET", "/health"),
    ]
    with connected(service.port) as connection:
        connection.sendall(b"FOO\r\n\r\n")
        answers.append(read_response(connection))

    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
