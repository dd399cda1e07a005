"""Probes and metrics over real HTTP; classification has its own tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from worker.errors import SettingsError
from worker.health import Health
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings

LOOPBACK = HttpSettings(host="127.0.0.1", port=0)


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


async def test_a_port_in_use_is_an_error_that_names_the_settings(service: Service) -> None:
    taken = HttpSettings(host="127.0.0.1", port=service.server.port)
    other = HttpServer(taken, service.health, service.metrics, None)
    with pytest.raises(SettingsError, match=rf"http\.host 127\.0\.0\.1, http\.port {taken.port}: "):
        await other.start()


async def test_an_address_of_another_machine_is_an_error_too(service: Service) -> None:
    foreign = HttpSettings(host="192.0.2.1", port=0)
    with pytest.raises(SettingsError, match=r"cannot listen on http\.host 192\.0\.2\.1"):
        await HttpServer(foreign, service.health, service.metrics, None).start()
