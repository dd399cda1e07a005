"""What the page says of the worker: its state, and figures that are what they say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import TypeVar

import pytest
from selenium import webdriver

from tests.support.harness import Worker
from tests.support.http_client import classify
from tests.support.images import colour_png, job
from tests.support.page import Page
from tests.support.workers import MakeService
from worker import __version__
from worker.health import Health
from worker.http.classify import Classify
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings

Result = TypeVar("Result")

DURATION = "classify_http_request_duration_seconds"


class BareServer:
    """The worker's HTTP server without a model, whose state and figures a test sets."""

    def __init__(self, metrics_port: int | None = None) -> None:
        self.metrics = Metrics()
        self.health = Health(10.0, self.metrics, kafka=False)
        self.port = 0
        self._metrics_port = metrics_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._wait(self._make())

    async def _make(self) -> HttpServer:
        settings = HttpSettings(host="127.0.0.1", port=0, metrics_port=self._metrics_port)
        classifying = Classify(settings, 1 << 20, self.metrics)
        server = HttpServer(settings, self.health, self.metrics, classifying)
        await server.start()
        self.port = server.port
        return server

    def _wait(self, work: Coroutine[None, None, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self._wait(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def bare() -> Iterator[BareServer]:
    server = BareServer()
    yield server
    server.close()


def test_states_in_words(driver: webdriver.Chrome, bare: BareServer) -> None:
    bare.health.pulling = True
    page = Page(driver, f"http://127.0.0.1:{bare.port}/")
    page.until_text("state", "Starting, downloading the model")
    assert page["state"].get_attribute("data-state") == "starting"
    bare.health.pulling = False
    page.until_text("state", "Starting, loading the model")
    assert page["state"].get_attribute("data-state") == "starting"
    bare.health.set_warm()
    page.until_text("state", "Ready")
    bare.health.set_publishing(False)
    page.until_text("state", "Not ready: Kafka takes no results")
    bare.health.set_draining()
    page.until_text("state", "Stopping")


def test_without_metrics_on_its_port_the_page_shows_the_state_alone(
    driver: webdriver.Chrome,
) -> None:
    bare = BareServer(metrics_port=0)
    try:
        page = Page(driver, f"http://127.0.0.1:{bare.port}/")
        page.until_text("state", "Starting, loading the model")
        assert not page["live"].is_displayed()
        bare.health.set_warm()
        page.until_text("state", "Ready")
        bare.health.set_draining()
        page.until_text("state", "Stopping")
    finally:
        bare.close()


def test_figures_of_the_worker(page: Page, service: Worker) -> None:
    page.until_text("state", "Ready")
    page.until_text("throughput", "0")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            classify(service.port, job(colour_png("#112233")))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for name in ("throughput", "http-mean", "http-half", "http-tail", "batch"):
            page.until_positive(name)
        page.until_text("stages", "classify")
    finally:
        stop.set()
        worker.join()
    assert "EfficientNet-Lite0 on cpu" in page["model"].text


def test_figures_are_those_of_the_exposition(page: Page) -> None:
    # A bucket of 1 s to 2 s that took in 10 between two looks, and one beyond the last bound.
    before = 'h_bucket{le="1"} 5\nh_bucket{le="2"} 5\nh_bucket{le="+Inf"} 5\n'
    after = (
        'h_bucket{le="1"} 5\nh_bucket{le="2"} 15\nh_bucket{le="+Inf"} 16\n'
        'c{a="x\\"y"} 2\nc{a="z"} 3\n'
    )
    script = """
        const [before, after] = arguments;
        return import("/exposition.js").then((live) => [
            live.bound(0.5, live.parse(before), live.parse(after), "h"),
            live.bound(1.0, live.parse(before), live.parse(after), "h") === Infinity,
            live.bound(0.5, live.parse(after), live.parse(after), "h"),
            live.total(live.parse(after), "c"),
            live.total(live.parse(after), "c", { a: 'x"y' }),
        ]);
    """

    assert page.run(script, before, after) == [2, True, None, 5, 2]


def latency(page: Page) -> list[str]:
    """What the page says of HTTP's latency, as of one moment."""
    found: list[str] = page.run("""
        const text = (id) => document.getElementById(id).innerText;
        return [text("http-mean"), text("http-count"), text("http-bounds")];
    """)
    return found


def test_one_request_is_one_request(driver: webdriver.Chrome, make_service: MakeService) -> None:
    service = make_service()
    service.wait_until_ready()
    page = Page(driver, f"http://127.0.0.1:{service.port}/")
    # Both looks are before the request: it falls into the window.
    page.until_text("http-count", "no request")
    classify(service.port, job(colour_png("#112233")))
    exact = 1000 * service.value(f"{DURATION}_sum")

    expected = [f"{exact:,.0f}", "one request"]
    page.until(lambda: latency(page)[:2] == expected, "one request, by its own time")
    assert not page["http-bounds"].is_displayed()


@pytest.mark.parametrize(
    ("fast", "expected"),
    [
        (0, ["300", "mean of 4 requests", "half within 300 ms, all within 500 ms"]),
        (196, ["45", "mean of 200 requests", "half within 50 ms, 99 of 100 within 300 ms"]),
    ],
)
def test_latency_is_what_it_is_called(
    driver: webdriver.Chrome, bare: BareServer, fast: int, expected: list[str]
) -> None:
    page = Page(driver, f"http://127.0.0.1:{bare.port}/")
    page.until_text("http-count", "no request")
    for seconds in (0.21, 0.22, 0.29, 0.48, *(0.04 for _ in range(fast))):
        bare.metrics.request_duration.observe(seconds)

    page.until(lambda: latency(page) == expected, f"{expected}")


def test_time_bar_is_filled(driver: webdriver.Chrome, bare: BareServer) -> None:
    page = Page(driver, f"http://127.0.0.1:{bare.port}/")
    page.until_text("http-count", "no request")
    for stage, seconds in {"decode": 0.0001, "infer": 0.0003}.items():
        bare.metrics.stages.labels(stage).observe(seconds)
    widths = """
        const width = (one) => one.getBoundingClientRect().width;
        const bar = document.getElementById("stages-bar");
        return [width(bar), ...[...bar.children].map(width)];
    """
    page.until(lambda: len(page.run(widths)) == 3, "both stages")

    bar, decode, infer = page.run(widths)
    assert infer == pytest.approx(3 * decode, rel=0.05)
    assert decode + infer == pytest.approx(bar, abs=3)


def test_version_is_shown(page: Page) -> None:
    page.until_text("version", f"classify-worker {__version__}")
