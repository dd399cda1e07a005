"""Whose pages may use the worker, and under which names it may be reached."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
import pytest
from multidict import CIMultiDict
from pydantic import ValidationError

from worker.budget import Reservation
from worker.contract.jobs import Category, Job, ModelIdentity, Outcome, Success
from worker.health import Health
from worker.http.classify import PATH, Classify
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings

Headers = Mapping[str, str]

APP = "https://app.example.org"
FOREIGN = {"Origin": "https://evil.example"}


MODEL = ModelIdentity("cats", "sha256:ab", "paddle")


async def answered(job: Job, held: Reservation) -> Outcome:
    return Success((Category(0, "cat", 1.0),), model=MODEL)


class Service:
    """A server with some settings, and a client that says what a browser would."""

    def __init__(self, client: aiohttp.ClientSession, settings: HttpSettings) -> None:
        metrics = Metrics()
        classify = Classify(settings, 1 << 20, metrics)
        classify.open(answered)
        self._client = client
        self.server = HttpServer(settings, Health(10.0, metrics), metrics, classify)

    async def ask(
        self, method: str, path: str, headers: Headers, body: bytes | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self._client.request(method, url, data=body, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()

    async def post(self, headers: Headers) -> tuple[int, str]:
        """Status and message of a request to classify."""
        status, _, body = await self.ask("POST", PATH, headers, b'{"image":"QQ=="}')
        said = json.loads(body)
        assert said["errorCode"] == (0 if status == 200 else status)
        return status, said["errorMsg"]


MakeService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def make_service() -> AsyncIterator[MakeService]:
    started = []
    async with aiohttp.ClientSession() as client:

        async def make(**settings: object) -> Service:
            made = Service(
                client, HttpSettings.model_validate({"host": "127.0.0.1", "port": 0, **settings})
            )
            await made.server.start()
            started.append(made.server)
            return made

        yield make
        for server in started:
            await server.stop()


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "classify.example.org"},
        {"Host": "[::1]:8080"},
        # The worker's own page, in a browser that says it, ...
        {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"},
        # ... or does not, ...
        {"Origin": "http://localhost:8080", "Host": "LOCALHOST:8080"},
        {"Origin": "http://[::1]:8080", "Host": "[::1]:8080"},
        {"Origin": "http://192.168.1.7", "Host": "192.168.1.7:80"},
        {"Origin": "http://classify-worker", "Host": "classify-worker"},
        {"Origin": "http://gpu-3.internal:8080", "Host": "gpu-3.internal:8080"},
        {"Origin": "http://gpu-box.lan:8080", "Host": "gpu-box.lan:8080"},
        {"Origin": "http://gpu.ml.corp", "Host": "gpu.ml.corp"},
        {"Origin": "https://classify.example.org", "Host": "classify.example.org"},
        # ... behind a proxy that has the worker's name of its own.
        {
            "Origin": "https://classify.example.org",
            "Sec-Fetch-Site": "same-origin",
            "Host": "worker.example.net:8080",
        },
        {
            "Origin": "https://classify.example.org:8443",
            "X-Forwarded-Host": "classify.example.org:8443, inner",
            "Host": "worker:8080",
        },
        {
            "Origin": "https://classify.example.org",
            "Forwarded": 'for=192.0.2.43;host="classify.example.org";proto=https, for=10.0.0.1',
            "Host": "worker:8080",
        },
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_clients_and_the_own_page_are_answered(service: Service, headers: Headers) -> None:
    assert (await service.post(headers))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://evil.example", "Content-Type": "text/plain"},
        {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"},
        {"Origin": "https://evil.example", "Content-Type": "multipart/form-data; boundary=b"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        # Another port of this machine, another scheme.
        {"Origin": "http://localhost:3000", "Host": "localhost:8080"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://localhost", "Host": "localhost:80"},
        {"Origin": "chrome-extension://abc", "Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://[::1", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://[::1", "Host": "[::1"},
        {"Origin": "http://localhost:99999", "Host": "localhost:99999"},
        {"Origin": "https://evil.example", "Host": "localhost:8080", "X-Forwarded-Host": "a, ,b"},
        {"Origin": "http://\xff", "Host": "localhost:8080"},
    ],
)
async def test_pages_of_others_are_not(service: Service, headers: Headers) -> None:
    status, message = await service.post(headers)
    assert status == 403
    assert "name their origin in http.allow_origins" in message


async def test_two_origins_are_none(service: Service) -> None:
    own = [("Origin", "http://localhost:8080")] * 2
    assert (await service.post(CIMultiDict([*own, ("Host", "localhost:8080")])))[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:8080", "Origin": "http://rebound.example:8080"},
        {
            "Host": "rebound.example:8080",
            "Origin": "http://rebound.example:8080",
            "Sec-Fetch-Site": "same-origin",
            "X-Forwarded-Host": "localhost",
        },
        {"Host": "127.0.0.1.example:8080", "Origin": "http://127.0.0.1.example:8080"},
        {"Host": "localhost.example.", "Origin": "http://localhost.example."},
    ],
)
async def test_a_page_whose_name_came_to_mean_the_worker_is_refused(
    service: Service, headers: Headers
) -> None:
    status, message = await service.post(headers)
    assert status == 403
    assert "name its host in http.allowed_hosts" in message


async def test_named_hosts(make_service: MakeService) -> None:
    service = await make_service(allowed_hosts="classify.example.org, *.apps.example.org")
    for host in ("classify.example.org", "Classify.Example.org.:8080", "a.b.apps.example.org"):
        assert (await service.post({"Host": host, "Origin": f"http://{host}"}))[0] == 200
    # Of an address or of a name inside, no page can be.
    for host in ("127.0.0.1:1", "[::1]", "10.1.2.3:8080", "worker", "worker.ml.svc", "localhost"):
        assert (await service.post({"Host": host}))[0] == 200
    for host in ("example.org", "apps.example.org", "evil.example:8080", "worker.ml.com", "[::1"):
        status, message = await service.post({"Host": host})
        assert status == 403
        assert "is not this worker's; name it in http.allowed_hosts" in message
        # Probes have an effect on nobody, and monitoring has its own names for workers.
        for path in ("/livez", "/metrics"):
            assert (await service.ask("GET", path, {"Host": host}))[0] == 200
        assert (await service.ask("GET", "/", {"Host": host}))[0] == 403
        assert (await service.ask("GET", "/health", {"Host": host}))[0] == 403


async def test_all_hosts(make_service: MakeService) -> None:
    service = await make_service(allowed_hosts=["*"])
    for host in ("evil.example", "localhost"):
        assert (await service.post({"Host": host, "Origin": f"http://{host}"}))[0] == 200


async def test_named_origins(make_service: MakeService) -> None:
    service = await make_service(allow_origins=f"{APP}:443/, http://localhost:3000")
    for origin in (APP, "http://localhost:3000"):
        status, headers, _ = await service.ask(
            "POST", PATH, {"Origin": origin, "Sec-Fetch-Site": "cross-site"}, b'{"image":"QQ=="}'
        )
        assert status == 200
        assert headers["Access-Control-Allow-Origin"] == origin
        assert headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in headers
        # Also a failure can be read by the page.
        status, headers, _ = await service.ask("POST", PATH, {"Origin": origin}, b"{}")
        assert (status, headers["Access-Control-Allow-Origin"]) == (422, origin)
        status, headers, _ = await service.ask("GET", "/nowhere", {"Origin": origin})
        assert (status, headers["Access-Control-Allow-Origin"]) == (404, origin)
        status, headers, _ = await service.ask("GET", "/openapi.json", {"Origin": origin})
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)
    for origin in ("https://evil.example", "http://app.example.org", f"{APP}:8443", "null"):
        status, headers, _ = await service.ask("POST", PATH, {"Origin": origin}, b"{}")
        assert status == 403
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Vary"] == "Origin"
    status, headers, _ = await service.ask("GET", "/openapi.json", {})
    assert (status, headers["Vary"]) == (200, "Origin")


ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,traceparent",
}


async def test_preflight(make_service: MakeService) -> None:
    service = await make_service(allow_origins=[APP])
    private = {"Access-Control-Request-Private-Network": "true"}
    status, headers, body = await service.ask(
        "OPTIONS", PATH, {"Origin": APP, "Sec-Fetch-Site": "cross-site", **ASKS, **private}
    )
    assert (status, body) == (204, b"")
    assert headers["Access-Control-Allow-Origin"] == APP
    assert headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert headers["Access-Control-Allow-Headers"] == "content-type,traceparent"
    assert headers["Access-Control-Allow-Private-Network"] == "true"
    assert int(headers["Access-Control-Max-Age"]) > 0
    assert "Origin" in headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in headers

    status, headers, _ = await service.ask(
        "OPTIONS", PATH, {"Origin": "https://evil.example", **ASKS}
    )
    assert status == 403
    assert not [name for name in headers if name.startswith("Access-Control")]
    # Without a question it is a method like others.
    assert (await service.ask("OPTIONS", PATH, {}))[0] == 405


async def test_all_origins(make_service: MakeService) -> None:
    service = await make_service(allow_origins=["*"])
    for headers in ({"Origin": "https://any.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, said, _ = await service.ask("POST", PATH, headers, b'{"image":"QQ=="}')
        assert (status, said["Access-Control-Allow-Origin"]) == (200, "*")
        assert "Access-Control-Allow-Credentials" not in said
    status, said, _ = await service.ask("OPTIONS", PATH, {"Origin": "https://any.example", **ASKS})
    assert (status, said["Access-Control-Allow-Origin"]) == (204, "*")


async def test_without_named_origins_there_is_no_word_of_them(service: Service) -> None:
    _, headers, _ = await service.ask("GET", "/openapi.json", {})
    assert not {"Vary", "Access-Control-Allow-Origin"} & headers.keys()
    assert (await service.ask("OPTIONS", PATH, {"Origin": APP, **ASKS}))[0] == 403


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("allow_origins", "example.org", "write https://example.org"),
        ("allow_origins", "https://example.org/page", "write https://example.org"),
        ("allow_origins", "https://*.example.org", "write https://example.org"),
        ("allow_origins", "null", "write https://example.org"),
        ("allow_origins", [""], "write https://example.org"),
        ("allowed_hosts", "http://example.org", "without a scheme or a port"),
        ("allowed_hosts", "example.org:80", "without a scheme or a port"),
        ("allowed_hosts", "a.*.org", "without a scheme or a port"),
        ("allowed_hosts", "*.", "without a scheme or a port"),
        ("allowed_hosts", [""], "without a scheme or a port"),
    ],
)
def test_settings_that_would_match_nothing(name: str, value: object, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        HttpSettings.model_validate({name: value})


def test_settings_from_one_line() -> None:
    read = HttpSettings.model_validate(
        {
            "allow_origins": '["HTTPS://A.example:443/","moz-extension://b-1"]',
            "allowed_hosts": ".A.example.,b.example",
        }
    )
    assert read.allow_origins == ("https://a.example", "moz-extension://b-1")
    assert read.allowed_hosts == (".a.example", "b.example")
    assert (
        HttpSettings.model_validate({"allow_origins": "", "allowed_hosts": None}) == HttpSettings()
    )
