"""Probes and metrics over real HTTP; classification has its own tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from demo.ports import free_ports
from worker.budget import Reservation
from worker.contract.jobs import Job, Outcome
from worker.errors import SettingsError
from worker.health import Health
from worker.http.classify import Classify
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings

LOOPBACK = HttpSettings(host="127.0.0.1", port=0)


async def never_asked(job: Job, held: Reservation) -> Outcome:
    """The pipeline of a service that gets no valid request."""
    raise AssertionError(job)


class Service:
    """A server on a free port, and a client for it."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.metrics = Metrics()
        self.health = Health(10.0, self.metrics)
        self.server = HttpServer(LOOPBACK, self.health, self.metrics, None)
        self._client = client

    async def get(self, path: str) -> tuple[int, str, str]:
        """Status, content type and text of an answer."""
        async with self._client.get(f"http://127.0.0.1:{self.server.port}{path}") as answer:
            return answer.status, answer.headers["Content-Type"], await answer.text()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with aiohttp.ClientSession() as client:
        made = Service(client)
        await made.server.start()
        yield made
        await made.server.stop()


async def test_readiness_follows_health(service: Service) -> None:
    assert await service.get("/readyz") == (
        503,
        "text/plain; charset=utf-8",
        "not warm\nnot assigned\n",
    )
    service.health.set_warm()
    service.health.set_assigned(True)
    assert (await service.get("/readyz"))[::2] == (200, "ok\n")
    service.health.set_draining()
    assert (await service.get("/readyz"))[::2] == (503, "draining\n")


async def test_liveness_follows_health(service: Service) -> None:
    assert (await service.get("/livez"))[::2] == (200, "ok\n")
    service.health.predictor_stalled = lambda: True
    assert (await service.get("/livez"))[::2] == (503, "a predictor makes no progress\n")


async def test_metrics_are_what_a_scraper_can_read(service: Service) -> None:
    service.metrics.images.inc(3)
    status, kind, text = await service.get("/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["classify_images"].samples[0].value == 3
    assert families["classify_ready"].samples[0].value == 0


async def test_without_classification_there_is_none(service: Service) -> None:
    status, kind, text = await service.get("/image-classification")
    assert (status, kind) == (404, "application/json")
    assert "http.infer is off" in text
    assert "classification is at" not in text


@pytest.fixture
async def hasty() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that gives heads a fifth of a second."""
    settings = LOOPBACK.model_copy(update={"head_timeout": 0.2})
    metrics = Metrics()
    server = HttpServer(settings, Health(10.0, metrics), metrics, None)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    yield reader, writer
    writer.close()
    await server.stop()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /livez HT",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: a",
        # After an answer as before the first request.
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /li",
    ],
)
async def test_a_head_that_does_not_end_in_time_ends_the_connection(
    hasty: tuple[asyncio.StreamReader, asyncio.StreamWriter], sent: bytes
) -> None:
    reader, writer = hasty
    writer.write(sent)

    said = await asyncio.wait_for(reader.read(), 30)

    assert said.count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")


async def test_a_head_that_comes_in_drops_has_no_more_time(
    hasty: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = hasty
    writer.write(b"GET /livez HTTP/1.1\r\nX-Slow: ")
    end = asyncio.create_task(asyncio.wait_for(reader.read(), 30))
    while not end.done():
        writer.write(b"a")
        await asyncio.wait([end], timeout=0.01)

    # A drop that crosses the end on its way is answered with a reset.
    assert isinstance(end.exception(), ConnectionResetError) or end.result() == b""


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("turns", range(6))
def test_a_body_that_breaks_while_its_request_begins(
    new_loop: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        said = runner.run(answer_to_a_broken_body(turns))

    assert said.count(b" 400 Bad Request\r\n") == said.count(b'"logId"') == 1


async def answer_to_a_broken_body(turns: int) -> bytes:
    """All that a server says to a body that breaks after so many turns of the event loop.

    Server and client take turns in one loop: each number of them is another moment.
    """
    metrics = Metrics()
    classify = Classify(LOOPBACK, 1 << 20, metrics)
    classify.open(never_asked)
    server = HttpServer(LOOPBACK, Health(10.0, metrics), metrics, classify)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(
            b"POST /image-classification HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        writer.write(b"zz\r\n")
        # Far below http.read_timeout, which would end it too.
        return await asyncio.wait_for(reader.read(), LOOPBACK.read_timeout / 3)
    finally:
        writer.close()
        await server.stop()


async def test_a_port_in_use_is_an_error_that_names_the_settings(service: Service) -> None:
    taken = HttpSettings(host="127.0.0.1", port=service.server.port)
    other = HttpServer(taken, service.health, service.metrics, None)
    with pytest.raises(SettingsError, match=rf"http\.port {taken.port}: .* choose another port"):
        await other.start()


async def test_an_address_of_another_machine_is_an_error_too(service: Service) -> None:
    foreign = HttpSettings(host="192.0.2.1", port=0)
    with pytest.raises(SettingsError, match=r"http\.host 192\.0\.2\.1, .*; name an address"):
        await HttpServer(foreign, service.health, service.metrics, None).start()


@pytest.mark.parametrize(
    ("accept", "encoding", "media_type"),
    [
        ("*/*", "identity", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", "gzip", "application/openmetrics-text"),
    ],
)
async def test_metrics_come_in_the_format_that_is_asked_for(
    service: Service, accept: str, encoding: str, media_type: str
) -> None:
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    url = f"http://127.0.0.1:{service.server.port}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith(media_type)
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        assert "classify_jobs_total{" in await answer.text()


async def serve(settings: HttpSettings, *, classify: bool) -> HttpServer:
    metrics = Metrics()
    classifying = Classify(settings, 1 << 20, metrics) if classify else None
    server = HttpServer(settings, Health(10.0, metrics), metrics, classifying)
    await server.start()
    return server


PROBES = ("/metrics", "/livez", "/readyz")


async def statuses(port: int, *paths: str) -> list[int]:
    async with aiohttp.ClientSession() as client:
        found = []
        for path in paths:
            async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
                found.append(answer.status)
        return found


async def test_metrics_and_probes_may_have_a_port_of_their_own() -> None:
    settings = HttpSettings(host="127.0.0.1", port=0, metrics_port=0)
    server = await serve(settings, classify=True)
    try:
        assert server.port != server.metrics_port
        assert await statuses(server.metrics_port, *PROBES) == [200, 200, 503]
        assert await statuses(server.metrics_port, "/", "/health") == [404, 404]
        assert await statuses(server.port, *PROBES) == [404, 404, 404]
        assert await statuses(server.port, "/", "/health") == [200, 503]
    finally:
        await server.stop()


async def test_without_a_service_it_is_the_only_port() -> None:
    settings = HttpSettings(host="127.0.0.1", port=1, metrics_port=0)
    server = await serve(settings, classify=False)
    try:
        assert server.port == server.metrics_port != 1
        assert await statuses(server.port, *PROBES) == [200, 200, 503]
    finally:
        await server.stop()


async def test_a_metrics_port_in_use_is_an_error_by_its_name_and_leaves_nothing_open(
    service: Service,
) -> None:
    (free,) = free_ports(1)
    taken = service.server.port
    settings = HttpSettings(host="127.0.0.1", port=free, metrics_port=taken)
    with pytest.raises(SettingsError, match=rf"http\.metrics_port {taken}: "):
        await serve(settings, classify=True)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", free)


async def test_the_same_port_twice_is_one(service: Service) -> None:
    (free,) = free_ports(1)
    server = await serve(
        HttpSettings(host="127.0.0.1", port=free, metrics_port=free), classify=True
    )
    try:
        assert await statuses(free, "/livez", "/") == [200, 200]
    finally:
        await server.stop()
