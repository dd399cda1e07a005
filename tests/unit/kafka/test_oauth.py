"""Tokens from a file and from a real endpoint on loopback, and what happens when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from tests.support.serving import serving
from worker.clock import Clock
from worker.errors import SettingsError
from worker.kafka.oauth import EARLY, token_provider
from worker.settings import SaslSettings
from worker.settings.sources import load

Answer = Callable[[], web.StreamResponse]


class Endpoint:
    """A token endpoint that counts, and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answer: Answer = self.token
        self.lifetime: object = 3600

    def token(self) -> web.StreamResponse:
        number = len(self.requests)
        return web.json_response({"access_token": f"t{number}", "expires_in": self.lifetime})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append((request.headers["Authorization"], form))
        return self.answer()


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Endpoint, str]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Endpoint()
    app = web.Application()
    app.add_routes([web.post("/token", made.handle)])
    async with serving(app) as port:
        yield made, f"http://127.0.0.1:{port}/token"


def sasl(url: str, scope: str | None = None) -> SaslSettings:
    return SaslSettings(
        mechanism="OAUTHBEARER",
        token_endpoint=url,
        client_id="me",
        client_secret=SecretStr("hu:sh"),
        scope=scope,
    )


async def test_the_endpoint_is_asked_as_the_standard_says(endpoint: tuple[Endpoint, str]) -> None:
    made, url = endpoint
    assert await token_provider(sasl(url, "kafka")).token() == "t1"
    assert made.requests == [
        (
            # me:hu%3Ash
            "Basic bWU6aHUlM0FzaA==",
            {"grant_type": "client_credentials", "scope": "kafka"},
        )
    ]


async def test_a_token_is_kept_until_shortly_before_its_end(endpoint: tuple[Endpoint, str]) -> None:
    made, url = endpoint
    provider = token_provider(sasl(url))
    assert [await provider.token() for _ in range(3)] == ["t1"] * 3
    # Less than the margin: each connection gets a new one.
    made.lifetime = 10
    short = token_provider(sasl(url))
    assert [await short.token() for _ in range(2)] == ["t2", "t3"]


async def test_a_token_is_renewed_before_its_end(endpoint: tuple[Endpoint, str]) -> None:
    _, url = endpoint
    now = 0.0
    provider = token_provider(sasl(url), Clock(lambda: now))
    assert await provider.token() == "t1"
    now = 3600 - EARLY - 1
    assert await provider.token() == "t1"
    now += 1
    assert await provider.token() == "t2"


async def test_a_token_of_unknown_life_is_not_kept(endpoint: tuple[Endpoint, str]) -> None:
    made, url = endpoint
    made.answer = lambda: web.json_response({"access_token": "t"})
    provider = token_provider(sasl(url))
    await provider.token()
    await provider.token()
    assert len(made.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=401, text="hu:sh"),
        lambda: web.Response(text="no JSON", content_type="application/json"),
        lambda: web.Response(text="<html>"),
        lambda: web.json_response({"error": "invalid_client"}),
        lambda: web.json_response(["access_token"]),
        lambda: web.json_response({"access_token": "t", "expires_in": "soon"}),
    ],
)
async def test_no_token_is_a_connection_error_that_aiokafka_tries_again(
    endpoint: tuple[Endpoint, str], answer: Answer
) -> None:
    made, url = endpoint
    made.answer = answer
    provider = token_provider(sasl(url))
    with pytest.raises(KafkaError, match=r"kafka\.sasl\.token_endpoint") as raised:
        await provider.token()
    assert raised.value.retriable
    assert "hu:sh" not in str(raised.value)
    made.answer = made.token
    assert await provider.token() == "t2"


async def test_an_endpoint_that_is_down_is_one_too(endpoint: tuple[Endpoint, str]) -> None:
    _, url = endpoint
    with pytest.raises(KafkaError, match=r"kafka\.sasl\.token_endpoint"):
        await token_provider(sasl(url.replace("http:", "https:"))).token()


async def test_a_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    await asyncio.to_thread(file.write_text, "first\n")
    provider = token_provider(SaslSettings(mechanism="OAUTHBEARER", token_file=file))
    assert await provider.token() == "first"
    await asyncio.to_thread(file.write_text, "second")
    assert await provider.token() == "second"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
async def test_a_file_without_a_token_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        await asyncio.to_thread(file.write_bytes, content)
    provider = token_provider(SaslSettings(mechanism="OAUTHBEARER", token_file=file))
    with pytest.raises(KafkaError, match=r"kafka\.sasl\.token_file"):
        await provider.token()


async def test_no_password_but_the_clients_own_is_sent(
    endpoint: tuple[Endpoint, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not the one of the address, which would contradict it, nor one out of .netrc."""
    made, url = endpoint
    netrc = tmp_path / "netrc"
    await asyncio.to_thread(netrc.write_text, "default login me password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    provider = token_provider(sasl(url.replace("://", "://you:canary@")))
    assert await provider.token() == "t1"
    assert [credentials for credentials, _ in made.requests] == ["Basic bWU6aHUlM0FzaA=="]


async def test_the_secret_is_not_carried_on_by_a_redirect(endpoint: tuple[Endpoint, str]) -> None:
    made, url = endpoint
    made.answer = lambda: web.Response(status=307, headers={"Location": url})
    with pytest.raises(KafkaError, match="it answered 307"):
        await token_provider(sasl(url)).token()
    assert len(made.requests) == 1


@pytest.mark.parametrize("status", [302, 500, 200])
async def test_errors_show_no_key_of_the_address_and_nothing_of_the_answer(
    endpoint: tuple[Endpoint, str], status: int
) -> None:
    made, url = endpoint
    made.answer = lambda: web.Response(
        status=status, reason="canary", text="canary", headers={"X-Canary": "canary"}
    )
    with pytest.raises(KafkaError, match=r"kafka\.sasl\.token_endpoint") as raised:
        await token_provider(sasl(f"{url}?key=canary")).token()
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("address", ["canary", "ftp://me:canary@host/token", "http://[canary"])
def test_an_address_that_cannot_be_asked_is_refused_at_start(address: str) -> None:
    with pytest.raises(SettingsError, match="use an http or https address") as raised:
        load(overrides=[f"kafka.sasl.token_endpoint={address}"], environ={})
    assert "canary" not in str(raised.value)
