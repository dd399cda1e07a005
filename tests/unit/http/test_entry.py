"""Connections come in by TLS or without; clients that only hold them keep no other out."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from worker.health import Health
from worker.http.classify import Classify
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings, HttpTlsSettings

BOUND = 30.0
MOST = 18
"""Connections that the servers of these tests have: the least with two jobs."""
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UPLOAD = (
    b"POST /image-classification HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n"
)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in each kind of event loop."""

    def within(work: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(BOUND):
                await work

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return within


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> HttpTlsSettings:
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    return HttpTlsSettings(cert_file=pem, key_file=pem)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)


class Server:
    """A started server; the connections that are made to it are closed with it."""

    def __init__(self, settings: HttpSettings, trust: ssl.SSLContext | None) -> None:
        self.metrics = Metrics()
        self.classify = Classify(settings, 1 << 20, self.metrics)
        self.classify.open(self._never)
        self.http = HttpServer(settings, Health(10.0, self.metrics), self.metrics, self.classify)
        self._trust = trust
        self._writers: list[asyncio.StreamWriter] = []

    async def _never(self, *_: object) -> Any:
        raise AssertionError("no body is ever whole")

    async def connect(
        self, sent: bytes = b"", *, port: int = 0, bare: bool = False
    ) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port or self.http.port, ssl=None if bare else self._trust
        )
        self._writers.append(writer)
        writer.write(sent)
        return reader

    async def live(self, port: int = 0) -> bool:
        reader = await self.connect(LIVEZ, port=port)
        return await reader.readline() == b"HTTP/1.1 200 OK\r\n"

    def turned_away(self, cause: str) -> float:
        return float(self.metrics.turned_away.labels(cause)._value.get())

    async def connections(self, count: int) -> None:
        """Wait until the server has this many."""
        await until(lambda: self.metrics.connections._value.get() == count)

    async def under_way(self, count: int) -> None:
        await until(lambda: self.classify._budget.jobs == count)

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await self.http.stop()


@asynccontextmanager
async def opened(trust: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Server]:
    defaults = {"host": "127.0.0.1", "port": 0, "max_connections": MOST, "max_jobs": 2}
    server = Server(HttpSettings(**defaults | settings), trust)
    await server.http.start()
    try:
        yield server
    finally:
        await server.close()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def ends(reader: asyncio.StreamReader) -> bytes:
    """What is read until the connection ends, in whatever way."""
    read = b""
    try:
        while piece := await reader.read(65_536):
            read += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return read


async def knows(server: Server) -> bool:
    """Whether a client trusts the certificate that is shown, and is answered."""
    try:
        return await server.live()
    except ssl.SSLCertVerificationError:
        return False


def test_silent_clients_and_half_heads_keep_no_probe_out(run: Run) -> None:
    async def work() -> None:
        async with opened() as server:
            begun = (b"", b"GET /", b"GET / HTTP/1.1\r\n")
            held = [await server.connect(begun[n % 3]) for n in range(MOST)]
            await server.connections(MOST)
            for _ in range(MOST):
                assert await server.live()
            assert [await ends(reader) for reader in held] == [b""] * MOST
            assert server.turned_away("made_room") == MOST
            assert server.turned_away("no_room") == 0

    run(work())


def test_clients_that_read_no_answer_keep_no_probe_out(run: Run) -> None:
    async def work() -> None:
        async with opened() as server:
            many = LIVEZ.replace(b"/livez", b"/metrics") * 200
            for _ in range(MOST):
                await server.connect(many)
            await server.connections(MOST)
            for _ in range(5):
                assert await server.live()

    run(work())


def test_uploads_that_never_end_are_not_interrupted_and_leave_room_for_probes(run: Run) -> None:
    async def work() -> None:
        async with opened() as server:
            uploads = [await server.connect(UPLOAD) for _ in range(2)]
            await server.under_way(2)
            # With max_jobs under way the next is told so, and then waits for its client.
            for _ in range(MOST):
                refused = await server.connect(UPLOAD)
                assert await refused.readline() == b"HTTP/1.1 503 Service Unavailable\r\n"
            assert await server.live()
            assert not any(reader.at_eof() for reader in uploads)
            assert server.classify._budget.jobs == 2

    run(work())


def test_a_metrics_port_has_places_of_its_own(run: Run) -> None:
    async def work() -> None:
        async with opened(metrics_port=0) as server:
            held = [await server.connect() for _ in range(MOST)]
            await server.connections(MOST)
            assert await server.live(server.http.metrics_port)
            assert server.turned_away("made_room") == 0
            assert not any(reader.at_eof() for reader in held)

    run(work())


def test_places_are_free_again_when_clients_have_gone(run: Run) -> None:
    async def work() -> None:
        async with opened() as server:
            for _ in range(3):
                for _ in range(MOST):
                    assert await server.live()
                for writer in server._writers:
                    writer.close()
                await server.connections(0)
            assert server.turned_away("made_room") == 0

    run(work())


def test_tls_is_spoken_and_nothing_else(
    run: Run, authority: trustme.CA, tls: HttpTlsSettings
) -> None:
    async def work() -> None:
        async with opened(trusting(authority), tls=tls) as server:
            assert await server.live()
            answer = await ends(await server.connect(LIVEZ, bare=True))
            # Some OpenSSL versions send an alert to what is no handshake.
            assert answer[:2] in (b"", b"\x15\x03")
            await server.connections(1)
            assert await server.live()

    run(work())


def test_silent_handshakes_keep_no_client_out(
    run: Run, authority: trustme.CA, tls: HttpTlsSettings
) -> None:
    async def work() -> None:
        async with opened(trusting(authority), tls=tls) as server:
            # The second one begins a handshake, and goes on no further.
            held = [
                await server.connect((b"", b"\x16\x03\x01")[n % 2], bare=True) for n in range(MOST)
            ]
            await server.connections(MOST)
            for _ in range(MOST):
                assert await server.live()
            assert [await ends(reader) for reader in held] == [b""] * MOST

    run(work())


def test_a_silent_handshake_ends_in_time(
    run: Run, authority: trustme.CA, tls: HttpTlsSettings
) -> None:
    async def work() -> None:
        quick = tls.model_copy(update={"handshake_timeout": 0.1})
        async with opened(trusting(authority), tls=quick) as server:
            assert await ends(await server.connect(bare=True)) == b""
            await server.connections(0)
            assert await server.live()

    run(work())


def test_a_first_request_in_the_same_moment_as_the_handshake_is_answered(
    run: Run, authority: trustme.CA, tls: HttpTlsSettings
) -> None:
    async def work() -> None:
        async with opened(trusting(authority), tls=tls) as server:
            for _ in range(20):
                assert await server.live()

    run(work())


def test_an_old_version_of_tls_is_refused(
    run: Run, authority: trustme.CA, tls: HttpTlsSettings
) -> None:
    async def work() -> None:
        old = trusting(authority)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        async with opened(old, tls=tls) as server:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await server.live()

    run(work())


def test_a_renewed_certificate_is_shown_to_new_connections(
    run: Run, authority: trustme.CA, tls: HttpTlsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.http.renewal.INTERVAL", 0.05)

    async def work() -> None:
        later = trustme.CA()
        async with opened(trusting(authority), tls=tls) as server:
            assert await server.live()
            assert tls.cert_file is not None
            renewed = later.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
            renewed.write_to_path(str(tls.cert_file))
            server._trust = trusting(later)
            while not await knows(server):  # noqa: ASYNC110 - it is read by and by
                await asyncio.sleep(0.05)

    run(work())


def test_a_connection_without_a_descriptor_is_ended_and_keeps_no_place(
    run: Run, authority: trustme.CA, tls: HttpTlsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dup(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def work() -> None:
        async with opened(trusting(authority), tls=tls) as server:
            with monkeypatch.context() as patch:
                patch.setattr("worker.http.entry.os.dup", dup)
                assert await ends(await server.connect(bare=True)) == b""
            await server.connections(0)
            assert await server.live()

    run(work())


def test_stopping_ends_handshakes_too(run: Run, tls: HttpTlsSettings) -> None:
    async def work() -> None:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(opened(tls=tls))
            held = await server.connect(bare=True)
            await server.connections(1)
            await server.http.stop()
            assert await ends(held) == b""

    run(work())
