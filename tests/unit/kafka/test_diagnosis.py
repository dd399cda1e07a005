"""What is said of servers that are no brokers, or bad ones; real brokers are in the integration."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from worker.kafka import diagnosis
from worker.kafka.diagnosis import find_cause
from worker.settings import KafkaSettings, TlsSettings

BOUND = 10.0


@asynccontextmanager
async def server(answer: bytes = b"", context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a server that says one thing, or nothing, and waits for the client to go."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(wait, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "TIMEOUT", 0.1)
    async with asyncio.timeout(BOUND), server() as address:
        said = await find_cause(KafkaSettings(bootstrap_servers=address))
    assert said == "no answer within 0.1 s: correct kafka.bootstrap_servers"


async def test_no_server(unused_port: int) -> None:
    said = await find_cause(KafkaSettings(bootstrap_servers=f"127.0.0.1:{unused_port}"))
    assert said is not None
    assert said.startswith("nothing listens there")
    assert said.endswith("correct kafka.bootstrap_servers")


async def refused(authority: trustme.CA, certificate: trustme.LeafCert, directory: Path) -> str:
    """What is said of a server's certificate by a client that trusts `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    async with server(context=context) as address:
        said = await find_cause(
            KafkaSettings(
                bootstrap_servers=address, security_protocol="SSL", tls=TlsSettings(ca_file=file)
            )
        )
    assert said is not None
    return said


@pytest.mark.parametrize(
    ("usable_after", "usable_for", "words"), [(-2, 1, "expired"), (1, 1, "not yet valid")]
)
async def test_a_certificate_at_the_wrong_time(
    tmp_path: Path, usable_after: int, usable_for: int, words: str
) -> None:
    authority, start = trustme.CA(), datetime.now(UTC) + timedelta(days=usable_after)
    end = start + timedelta(days=usable_for)
    certificate = authority.issue_cert("127.0.0.1", not_before=start, not_after=end)
    said = await refused(authority, certificate, tmp_path)
    assert f"{words}): it must be renewed, or this machine's clock be set right" in said


async def test_a_certificate_with_another_fault(tmp_path: Path) -> None:
    authority = trustme.CA(path_length=0)  # which may vouch for no other authority
    certificate = trustme.CA(parent_cert=authority).issue_cert("127.0.0.1")
    said = await refused(authority, certificate, tmp_path)
    assert "path length" in said
    assert said.endswith("): it, or its authority's, must be issued again")


async def test_tls_that_does_not_come_about() -> None:
    handshake_failure = bytes([21, 3, 3, 0, 2, 2, 40])  # an alert (RFC 8446, section 6)
    async with server(handshake_failure) as address:
        said = await find_cause(KafkaSettings(bootstrap_servers=address, security_protocol="SSL"))
    assert said is not None
    assert said.startswith("no TLS connection (")
