"""Who may ask for what, over real HTTP and TLS on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from worker.budget import Reservation
from worker.contract.jobs import Job, Outcome
from worker.errors import Failure, Reason, SettingsError, Stage
from worker.health import Health
from worker.http.classify import PATH, Classify
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings, HttpTlsSettings

TOKEN = "a-first-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OPEN = ("/livez", "/readyz", "/health", "/", "/docs", "/openapi.json", "/page.js")
BOUND = 30.0


async def process(job: Job, held: Reservation) -> Outcome:
    """The pipeline: reaching it is all that matters here."""
    return Failure(Reason.NOT_AN_IMAGE, "reached", Stage.DECODE)


class Service:
    def __init__(self, settings: HttpSettings, client: aiohttp.ClientSession) -> None:
        self.metrics = Metrics()
        self.classify = Classify(settings, 1 << 20, self.metrics)
        self.classify.open(process)
        self.server = HttpServer(settings, Health(10.0, self.metrics), self.metrics, self.classify)
        self.scheme = "https" if settings.tls.enabled else "http"
        self._client = client

    async def ask(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        port = options.pop("port", self.server.port)
        url = f"{self.scheme}://127.0.0.1:{port}{path}"
        async with self._client.request(method, url, **options) as answer:
            await answer.read()
            return answer

    async def status(self, method: str, path: str, **options: Any) -> int:
        return (await self.ask(method, path, **options)).status


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(**settings: Any) -> Service:
            client = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(BOUND))
            )
            service = Service(HttpSettings(host="127.0.0.1", port=0, **settings), client)
            await service.server.start()
            stack.push_async_callback(service.server.stop)
            return service

        yield started


def written(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


async def test_without_settings_everything_is_open(start: Start) -> None:
    service = await start()
    assert await service.status("POST", PATH, data=b"x") == 415
    assert await service.status("GET", "/metrics") == 200


async def test_classifying_needs_a_token_and_the_rest_does_not(start: Start, tokens: Path) -> None:
    service = await start(token_file=tokens)
    answer = await service.ask("POST", PATH, data=b"x")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="classify-worker"'
    assert answer.headers["Content-Type"] == "application/json"
    said = await answer.json()
    assert said.keys() == {"logId", "errorCode", "errorMsg"}
    assert said["errorCode"] == 401
    wrong = await service.ask("POST", PATH, data=b"x", headers={"Authorization": "Bearer wrong"})
    assert wrong.status == 401
    assert wrong.headers["WWW-Authenticate"].endswith('error="invalid_token"')
    assert await service.status("POST", PATH, data=b"x", headers=BEARER) == 415
    for path in (*OPEN, "/metrics"):
        assert await service.status("GET", path) in (200, 503), path
    for path in ("/nothing", "/image-classification/", "//image-classification", "/metrics/x"):
        assert await service.status("GET", path) == 401, path
    assert service.metrics.turned_away.labels("token")._value.get() == 6


async def test_the_document_says_whether_a_token_is_needed(start: Start, tokens: Path) -> None:
    for settings in ({}, {"token_file": tokens}):
        answer = await (await start(**settings)).ask("GET", "/openapi.json")
        assert answer.status == 200
        assert ("WWW-Authenticate" in answer.headers) == bool(settings)


async def test_metrics_are_protected_where_the_setting_says_so(start: Start, tokens: Path) -> None:
    service = await start(token_file=tokens, protect_metrics=True, metrics_port=0)
    port = service.server.metrics_port
    assert await service.status("GET", "/metrics", port=port) == 401
    assert await service.status("GET", "/metrics", port=port, headers=BEARER) == 200
    assert await service.status("GET", "/livez", port=port) == 200


async def test_two_authorizations_are_none(start: Start, tokens: Path) -> None:
    service = await start(token_file=tokens)
    twice = [("Authorization", f"Bearer {TOKEN}")] * 2
    assert await service.status("POST", PATH, data=b"x", headers=twice) == 401


async def test_a_request_without_a_token_is_refused_before_its_body(
    start: Start, tokens: Path
) -> None:
    service = await start(token_file=tokens)
    for expect in (b"", b"Expect: 100-continue\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
        # The body never comes.
        writer.write(
            b"POST /image-classification HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 1000\r\n" + expect + b"\r\n"
        )
        async with asyncio.timeout(BOUND):
            assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
        writer.close()
        await writer.wait_closed()
    assert service.metrics.requests_in_flight._value.get() == 0


async def test_a_page_of_another_origin_may_ask_whether_it_may_send_a_token(
    start: Start, tokens: Path
) -> None:
    origin = "https://app.example.org"
    service = await start(token_file=tokens, allow_origins=(origin,))
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await service.ask("OPTIONS", PATH, headers=asked)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    refused = await service.ask("POST", PATH, data=b"x", headers={"Origin": origin})
    assert refused.status == 401
    assert refused.headers["Access-Control-Allow-Origin"] == origin


async def test_a_rotated_token_counts_and_the_old_one_does_not(
    start: Start, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.http.renewal.INTERVAL", 0.05)
    service = await start(token_file=tokens)
    written(tokens, "the-second-token-of-all\n")
    second = {"Authorization": "Bearer the-second-token-of-all"}
    async with asyncio.timeout(BOUND):
        while await service.status("POST", PATH, data=b"x", headers=second) != 415:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await service.status("POST", PATH, data=b"x", headers=BEARER) == 401


async def test_a_file_without_tokens_keeps_the_server_from_starting(
    start: Start, tokens: Path
) -> None:
    written(tokens, "")
    with pytest.raises(SettingsError, match="has no token"):
        await start(token_file=tokens)


async def test_a_client_certificate_is_needed_to_classify(start: Start, tmp_path: Path) -> None:
    authority, strangers = trustme.CA(), trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    pem = tmp_path / "server.pem"
    made.private_key_and_cert_chain_pem.write_to_path(str(pem))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = HttpTlsSettings(cert_file=pem, key_file=pem, client_ca_file=tmp_path / "ca.pem")
    service = await start(tls=tls)

    def client(issuer: trustme.CA | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if issuer is not None:
            issuer.issue_cert("client.example").configure_cert(context)
        return context

    assert await service.status("GET", "/livez", ssl=client(None)) == 200
    assert await service.status("POST", PATH, data=b"x", ssl=client(None)) == 403
    assert await service.status("POST", PATH, data=b"x", ssl=client(authority)) == 415
    with pytest.raises(aiohttp.ClientError):
        await service.ask("GET", "/livez", ssl=client(strangers))
    assert service.metrics.turned_away.labels("certificate")._value.get() == 1
