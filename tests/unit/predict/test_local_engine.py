"""Local settings: which addresses are read, by way of which proxy, and on which devices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from worker.device import CPU, Device
from worker.errors import JobError, Reason
from worker.images.fetch import ImageFetcher
from worker.inference.placement import Placement, available_cores
from worker.predict.local_engine import LOCAL_FETCH, choose_placements


@pytest.fixture
def address() -> Iterator[str]:
    """A server on loopback that has nothing: `http://127.0.0.1:PORT`."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is theirs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def refused(url: str) -> JobError:
    async with ImageFetcher(LOCAL_FETCH) as fetcher:
        with pytest.raises(JobError) as refusal:
            await fetcher.fetch(url)
    return refusal.value


async def test_an_address_on_the_own_machine_may_be_read(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    error = await refused(f"{address}/missing.png")
    assert error.reason is Reason.NOT_FOUND
    assert error.message == "there is no image at the URL (HTTP 404 Not Found)"


async def test_the_users_own_proxy_is_used(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOCAL_FETCH.trust_env
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    # The proxy answers 404 to the absolute URL; without it the name would not even resolve.
    error = await refused("http://images.invalid/a.jpg")
    assert error.reason is Reason.NOT_FOUND


async def test_a_url_that_cannot_be_one_is_refused() -> None:
    error = await refused("ftp://example.com/a.jpg")
    assert error.message == "the URL's scheme is 'ftp'; only http and https are fetched"


@pytest.mark.parametrize("device", ["cpu", "CPU"])
def test_one_predictor_has_all_cores(device: str) -> None:
    assert choose_placements(Device.parse(device)) == [Placement(CPU, available_cores())]
