"""No password of the machine that fetches goes to a server that a stranger's URL names."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from tests.unit.images.conftest import Serve
from worker.errors import JobError, Reason
from worker.images.fetch import ImageFetcher
from worker.predict.local_engine import LOCAL_FETCH
from worker.proxies import UnusableProxyError, proxy_for
from worker.settings import FetchSettings

CANARY = "canary-of-netrc"
PROXY_CANARY = "canary-of-proxy"
SECRET_HEADERS = ("Authorization", "Proxy-Authorization", "Cookie")
SETTINGS = [
    LOCAL_FETCH,
    FetchSettings.model_validate({"allow_networks": ("127.0.0.0/8",), "trust_env": True}),
]


class Recorder:
    """Answers with an image, or a redirect from /to/HOST:PORT to that server."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(request)
        # As it came: a proxy is asked with the whole address.
        _, _, target = request.raw_path.partition("/to/")
        if target:
            return web.Response(status=302, headers={"Location": f"http://{target}/image"})
        return web.Response(body=b"image", headers={"Set-Cookie": "session=1"})

    def secrets(self) -> list[str]:
        """All headers that could hold a password."""
        return [
            value
            for request in self.requests
            for name in SECRET_HEADERS
            for value in request.headers.getall(name, [])
        ]


@pytest.fixture
def netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .netrc, in both places where one is looked for, with an entry for everybody."""
    home = tmp_path / "home"
    home.mkdir()
    text = "".join(
        f"machine {host} login me password {CANARY}\n" for host in ("127.0.0.1", "127.0.0.2")
    )
    for path in (home / ".netrc", tmp_path / "netrc"):
        path.write_text(f"{text}default login me password {CANARY}\n")
        path.chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recorder]:
    """The environment's proxy, which answers everything itself; 127.0.0.2 is not for it."""
    recorder = Recorder()
    async with AsyncExitStack() as running:
        runner = web.ServerRunner(web.Server(recorder.answer))
        await runner.setup()
        running.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://me:{PROXY_CANARY}@127.0.0.1:{port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.2")
        yield recorder


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("settings", SETTINGS, ids=["predict", "trust_env"])
@pytest.mark.usefixtures("netrc", "no_proxy")
async def test_passwords_of_netrc_are_never_sent(serve: Serve, settings: FetchSettings) -> None:
    first, second = Recorder(), Recorder()
    base = await serve(first.answer)
    other = await serve(second.answer, host="127.0.0.2")
    async with ImageFetcher(settings) as fetcher:
        assert await fetcher.fetch(f"{base}/image") == b"image"
        assert await fetcher.fetch(f"{base}/to/{URL(other).authority}") == b"image"
    assert len(first.requests) == 2
    assert len(second.requests) == 1
    assert first.secrets() == second.secrets() == []


@pytest.mark.usefixtures("netrc")
async def test_the_proxys_password_is_for_the_proxy_alone(serve: Serve, proxy: Recorder) -> None:
    direct = Recorder()
    base = await serve(direct.answer, host="127.0.0.2")
    async with ImageFetcher(LOCAL_FETCH) as fetcher:
        assert await fetcher.fetch("http://images.example/image") == b"image"
        # The proxy's answer leads to a server that is reached without it.
        url = f"http://images.example/to/{URL(base).authority}"
        assert await fetcher.fetch(url) == b"image"
    expected = base64.b64encode(f"me:{PROXY_CANARY}".encode()).decode()
    assert proxy.secrets() == [f"Basic {expected}"] * 2
    assert len(direct.requests) == 1
    assert direct.secrets() == []


@pytest.mark.usefixtures("proxy")
async def test_without_trust_env_the_proxy_is_not_asked(serve: Serve, proxy: Recorder) -> None:
    base = await serve(Recorder().answer)
    settings = FetchSettings.model_validate({"allow_networks": ("127.0.0.1/32",)})
    async with ImageFetcher(settings) as fetcher:
        assert await fetcher.fetch(f"{base}/image") == b"image"
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("https://me:pw@proxy", "https://me:pw@proxy"),
        ("", None),
    ],
)
def test_proxies_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, address: str, expected: str | None
) -> None:
    monkeypatch.setenv("https_proxy", address)
    monkeypatch.setenv("no_proxy", "inside.example")
    found = proxy_for(URL("https://outside.example/"))
    assert found == (None if expected is None else URL(expected))
    assert proxy_for(URL("https://inside.example/")) is None


@pytest.mark.parametrize("address", [f"socks5://me:{PROXY_CANARY}@proxy", "http://", "http://[x"])
@pytest.mark.usefixtures("no_proxy")
async def test_a_proxy_that_cannot_be_used_is_not_passed_by(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(UnusableProxyError, match="proxy"):
        proxy_for(URL("http://images.example/"))
    async with ImageFetcher(LOCAL_FETCH) as fetcher:
        with pytest.raises(JobError, match="proxy") as caught:
            await fetcher.fetch("http://images.example/")
    assert caught.value.reason is Reason.FETCH_FAILED
    assert PROXY_CANARY not in caught.value.message
