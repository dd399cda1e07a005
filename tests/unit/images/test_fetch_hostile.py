"""Servers that break every rule: each ends in an answer for the job, never in another exception."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.support.servers import Serve
from worker.errors import JobError, Reason
from worker.images.fetch import ImageFetcher
from worker.images.fetch_errors import ForbiddenAddressError, StatusError, explain
from worker.settings import FetchSettings


def settings(**changed: object) -> FetchSettings:
    defaults: dict[str, object] = {
        "allow_networks": ("127.0.0.1/32",),
        "attempts": 1,
        "total_timeout": 5,
        "max_bytes": 10_000,
    }
    return FetchSettings.model_validate(defaults | changed)


async def failure(url: str, **changed: object) -> JobError:
    async with ImageFetcher(settings(**changed)) as fetcher:
        with pytest.raises(JobError) as caught:
            await fetcher.fetch(url)
    return caught.value


OK = b"HTTP/1.1 200 OK\r\n"

ANSWERS: dict[str, tuple[bytes, Reason, bool]] = {
    "nothing": (b"", Reason.FETCH_FAILED, True),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", Reason.FETCH_FAILED, False),
    "a bad status line": (b"HTTP/1.1 abc Nonsense\r\n\r\n", Reason.FETCH_FAILED, False),
    "a bad version": (b"HTTP/9 200 OK\r\n\r\n", Reason.FETCH_FAILED, False),
    "half a header": (OK + b"Content-", Reason.FETCH_FAILED, True),
    "a header without a colon": (OK + b"nonsense\r\n\r\n", Reason.FETCH_FAILED, False),
    "a header too long": (OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n", Reason.FETCH_FAILED, False),
    "a status line too long": (
        b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n",
        Reason.FETCH_FAILED,
        False,
    ),
    "too many headers": (OK + b"X: y\r\n" * 200_000 + b"\r\n", Reason.FETCH_FAILED, False),
    "control characters in a header": (OK + b"X: a\0b\r\n\r\n", Reason.FETCH_FAILED, False),
    "a size that is no number": (OK + b"Content-Length: x\r\n\r\n", Reason.FETCH_FAILED, False),
    "a negative size": (OK + b"Content-Length: -1\r\n\r\n", Reason.FETCH_FAILED, False),
    "a size beyond all numbers": (
        OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        Reason.FETCH_FAILED,
        False,
    ),
    "two sizes": (
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        Reason.FETCH_FAILED,
        False,
    ),
    "a size and chunks": (
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Reason.FETCH_FAILED,
        False,
    ),
    "less than announced": (OK + b"Content-Length: 100\r\n\r\nabc", Reason.FETCH_FAILED, True),
    "bad chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        Reason.FETCH_FAILED,
        False,
    ),
    "chunks that end early": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        Reason.FETCH_FAILED,
        True,
    ),
    "a status of no class": (b"HTTP/1.1 999 Odd\r\n\r\n", Reason.FETCH_FAILED, True),
    "switching protocols": (
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nabc",
        Reason.FETCH_REFUSED,
        False,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_against_all_rules(serve_raw: Serve, name: str) -> None:
    answer, reason, transient = ANSWERS[name]

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    error = await failure(await serve_raw(handler))
    assert (error.reason, error.transient) == (reason, transient), error.message


async def test_odd_cookies_are_not_read(serve_raw: Serve) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Set-Cookie: \xff[bad]=;;; =\r\nContent-Length: 3\r\n\r\nabc")
        await writer.drain()

    async with ImageFetcher(settings()) as fetcher:
        assert await fetcher.fetch(await serve_raw(handler)) == b"abc"


async def test_a_connection_that_is_reset(serve_raw: Serve) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 5000\r\n\r\nabc")
        await writer.drain()
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    error = await failure(await serve_raw(handler))
    assert error.reason is Reason.FETCH_FAILED
    assert error.transient


async def test_nobody_listens(unused_port: int) -> None:
    error = await failure(f"http://127.0.0.1:{unused_port}/")
    assert error.reason is Reason.FETCH_FAILED
    assert error.transient
    assert "Connection refused" in error.message


async def test_tls_with_a_server_that_has_none(serve_raw: Serve) -> None:
    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    error = await failure((await serve_raw(handler)).replace("http:", "https:"))
    assert error.reason is Reason.FETCH_FAILED


class NoNames(AbstractResolver):
    """A name service that knows nobody."""

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async def close(self) -> None:
        """Nothing is held."""


async def test_a_name_that_cannot_be_resolved() -> None:
    async with ImageFetcher(settings(), resolver=NoNames()) as fetcher:
        with pytest.raises(JobError, match=r"'nowhere\.example' cannot be resolved") as caught:
            await fetcher.fetch("http://nowhere.example/")
    assert caught.value.reason is Reason.FETCH_FAILED
    assert caught.value.transient


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_a_name_that_cannot_even_be_asked_for(host: str) -> None:
    """The system's resolver is asked, and fails to encode the name before anything is sent."""
    error = await failure(f"http://{host}/")
    assert error.reason is Reason.BAD_URL
    assert not error.transient


KEY: Any = SimpleNamespace(host="images.example", port=443, ssl=True, is_ssl=True)


@pytest.mark.parametrize(
    ("error", "reason", "transient"),
    [
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("expired")),
            Reason.FETCH_FAILED,
            False,
        ),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "tls")), Reason.FETCH_FAILED, False),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(8, "dns")), Reason.FETCH_FAILED, True),
        (aiohttp.ClientConnectorError(KEY, OSError(113, "route")), Reason.FETCH_FAILED, True),
        (aiohttp.ClientConnectorError(KEY, OSError("10.0.0.1")), Reason.FETCH_FAILED, True),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "no")), Reason.FETCH_FAILED, True),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), Reason.FETCH_FAILED, True),
        (aiohttp.ServerDisconnectedError(), Reason.FETCH_FAILED, True),
        (aiohttp.ClientPayloadError("short"), Reason.FETCH_FAILED, True),
        (aiohttp.ClientError("else"), Reason.FETCH_FAILED, False),
        (aiohttp.InvalidURL("http://"), Reason.BAD_URL, False),
        (aiohttp.NonHttpUrlClientError("x:"), Reason.FETCH_FAILED, False),
        (aiohttp.ServerTimeoutError(), Reason.FETCH_TIMEOUT, True),
        (TimeoutError(), Reason.FETCH_TIMEOUT, True),
        (ConnectionResetError(), Reason.FETCH_FAILED, True),
        (UnicodeError("label too long"), Reason.BAD_URL, False),
        (StatusError(404, None), Reason.NOT_FOUND, False),
        (JobError(Reason.TOO_LARGE, "large"), Reason.TOO_LARGE, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_kind_of_error_has_an_answer(
    error: Exception, reason: Reason, transient: bool
) -> None:
    answer = explain(error)
    assert (answer.reason, answer.transient) == (reason, transient)
    assert "10.0.0.1" not in answer.message  # no addresses out of system errors


def test_a_forbidden_address_speaks_for_itself() -> None:
    job_error = JobError(Reason.FORBIDDEN_URL, "the URL leads to 10.0.0.1")
    error = aiohttp.ClientConnectorError(KEY, ForbiddenAddressError(job_error))
    assert explain(error) is job_error
