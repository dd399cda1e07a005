"""No socket to an address that is not allowed, whatever the URL, the name, or the redirect says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver

from tests.support.names import Names
from tests.support.servers import Serve
from worker.errors import JobError, Reason
from worker.images.fetch import ImageFetcher
from worker.settings import FetchSettings

BODY = b"an image"


class Trap:
    """A server on 127.0.0.2 that must never see a connection."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
        writer.close()


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    trap = Trap()
    server = await asyncio.start_server(trap.accept, "127.0.0.2", 0)
    trap.port = server.sockets[0].getsockname()[1]
    yield trap
    server.close()
    await server.wait_closed()
    assert trap.connections == 0


def settings(**changed: object) -> FetchSettings:
    defaults: dict[str, object] = {"allow_networks": ("127.0.0.1/32",), "attempts": 3}
    return FetchSettings.model_validate(defaults | changed)


async def refusal(
    url: str, resolver: AbstractResolver | None = None, **changed: object
) -> JobError:
    async with ImageFetcher(settings(**changed), resolver=resolver) as fetcher:
        with pytest.raises(JobError) as caught:
            await fetcher.fetch(url)
    return caught.value


async def test_the_trap_would_catch(trap: Trap) -> None:
    everything = settings(allow_networks=("127.0.0.0/8",))
    async with ImageFetcher(everything) as fetcher:
        assert await fetcher.fetch(f"http://127.0.0.2:{trap.port}/") == b"secret"
    assert trap.connections == 1
    trap.connections = 0


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "2130706434",
        "0177.0.0.2",
        "0x7f.0.0.2",
        "0x7f000002",
        "127.2",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "[::1]",
        "[::]",
        "0.0.0.0",  # noqa: S104 - not bound to
    ],
)
async def test_addresses_in_every_spelling(trap: Trap, host: str) -> None:
    error = await refusal(f"http://{host}:{trap.port}/")
    assert error.reason is Reason.FORBIDDEN_URL
    assert error.attempts == 1
    assert "WORKER_FETCH__ALLOW_NETWORKS" in error.message


@pytest.mark.parametrize("addresses", [["127.0.0.2"], ["::1"], ["127.0.0.2", "::1", "10.0.0.1"]])
async def test_a_name_that_resolves_to_forbidden_addresses(
    trap: Trap, addresses: list[str]
) -> None:
    names = Names(innocent=addresses)
    error = await refusal(f"http://innocent:{trap.port}/", names)
    assert error.reason is Reason.FORBIDDEN_URL
    assert error.attempts == 1
    assert names.asked
    assert any(address in error.message for address in addresses)


async def test_localhost_resolved_by_the_system(trap: Trap) -> None:
    error = await refusal(f"http://localhost:{trap.port}/", allow_networks=())
    assert error.reason is Reason.FORBIDDEN_URL


async def test_of_several_addresses_the_allowed_one_is_used(serve: Serve, trap: Trap) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=BODY)

    port = (await serve(handler)).rpartition(":")[2]
    names = Names(mixed=["127.0.0.2", "127.0.0.1"])
    async with ImageFetcher(settings(), resolver=names) as fetcher:
        assert await fetcher.fetch(f"http://mixed:{port}/") == BODY


async def test_a_name_that_changes_its_mind(serve: Serve, trap: Trap) -> None:
    """Rebinding: harmless when it is first asked, private when it is connected to."""

    async def handler(_: web.Request) -> web.Response:
        response = web.Response(body=BODY)
        response.force_close()
        return response

    port = (await serve(handler)).rpartition(":")[2]
    names = Names(changing=["127.0.0.1"])
    async with ImageFetcher(settings(), resolver=names) as fetcher:
        assert await fetcher.fetch(f"http://changing:{port}/") == BODY
        names.addresses["changing"] = ["127.0.0.2"]
        with pytest.raises(JobError) as caught:
            await fetcher.fetch(f"http://changing:{trap.port}/")
        assert caught.value.reason is Reason.FORBIDDEN_URL


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://127.0.0.2:{}/", "//2130706434:{}/", "http://inside:{}/"]
)
async def test_a_redirect_to_a_forbidden_address(
    serve: Serve, trap: Trap, status: int, location: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": location.format(trap.port)})

    names = Names(inside=["127.0.0.2"])
    error = await refusal(await serve(handler), names)
    assert error.reason is Reason.FORBIDDEN_URL


async def test_redirects_are_followed_to_the_limit(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        left = int(request.path.strip("/"))
        if left == 0:
            return web.Response(body=BODY)
        return web.Response(status=302, headers={"Location": f"/{left - 1}"})

    base = await serve(handler)
    async with ImageFetcher(settings(max_redirects=3)) as fetcher:
        assert await fetcher.fetch(f"{base}/3") == BODY
    error = await refusal(f"{base}/4", max_redirects=3)
    assert error.reason is Reason.FETCH_REFUSED
    assert "more than 3 times" in error.message
    assert error.attempts == 1
    assert (await refusal(f"{base}/1", max_redirects=0)).reason is Reason.FETCH_REFUSED


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "javascript:alert(1)",
        "http://user:secret@127.0.0.1/",
        "http://[::1",
        "http://[x]/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http:///nowhere",
        "http://a b/",
        "http://\x01/",
        "http://" + "a" * 300 + "/",
        "\xff\xfe",
        "http://\xff\xfe/",
    ],
)
async def test_redirects_that_lead_nowhere(serve_raw: Serve, location: str | None) -> None:
    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = b"" if location is None else f"Location: {location}\r\n".encode("latin-1")
        writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + header + b"\r\n")
        await writer.drain()

    error = await refusal(await serve_raw(handler), max_redirects=1)
    assert error.reason in (Reason.FETCH_REFUSED, Reason.FETCH_FAILED)
    assert not error.transient
    assert "secret" not in error.message


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_proxies_of_the_environment_are_not_used(
    serve: Serve, trap: Trap, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=BODY)

    monkeypatch.setenv(name, f"http://127.0.0.2:{trap.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with ImageFetcher(settings()) as fetcher:
        assert await fetcher.fetch(await serve(handler)) == BODY


async def test_a_trusted_environments_proxy_is_judged_instead_of_its_target(
    serve: Serve, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        seen.append(str(request.raw_path))
        return web.Response(body=BODY)

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", await serve(proxy))
    async with ImageFetcher(settings(trust_env=True)) as fetcher:
        assert await fetcher.fetch("http://images.example/a.jpg") == BODY
    assert seen == ["http://images.example/a.jpg"]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.2:{trap.port}")
    error = await refusal("http://images.example/a.jpg", trust_env=True)
    assert error.reason is Reason.FORBIDDEN_URL
