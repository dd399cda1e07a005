"""`classify-worker serve` on loopback: one for the run, others for tests that need their own."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.browser import chromium
from tests.support.harness import Worker
from tests.support.images import colour_png, job
from tests.support.page import CHELSEA, Page
from tests.support.workers import SERVICE, MakeService


@pytest.fixture(scope="session")
def service(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The run's service, warm: leave it running as it is."""
    log_path = tmp_path_factory.mktemp("service") / "log.jsonl"
    worker = Worker({**SERVICE, "WORKER_MODEL": str(model_dir)}, log_path, "serve")
    try:
        worker.start()
        worker.wait_until_ready()
        yield worker
    finally:
        worker.kill()


@pytest.fixture(scope="module")
def make_service(
    quick_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeService]:
    """Makes services, started but not yet warm; all are gone after the module."""
    with ExitStack() as cleanup:

        def make(**environ: str) -> Worker:
            settings = {**SERVICE, "WORKER_MODEL": str(quick_model), **environ}
            worker = Worker(settings, tmp_path_factory.mktemp("service") / "log.jsonl", "serve")
            cleanup.callback(worker.kill)
            return worker.start()

        yield make


@pytest.fixture(scope="session")
def small_request() -> bytes:
    """A request that succeeds, without a picture in its answer."""
    return job(colour_png("#336699"), visualize=False)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """The run's browser; `page` undoes what a test had it emulate."""
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        driver.set_script_timeout(60)
        yield driver


@pytest.fixture
def page(driver: webdriver.Chrome, service: Worker) -> Iterator[Page]:
    """The page, freshly loaded; whatever the browser complains about fails the test."""
    driver.get_log("browser")  # type: ignore[no-untyped-call] # what earlier pages left
    page = Page(driver, f"http://127.0.0.1:{service.port}/")
    yield page
    page.reset()
    assert page.complaints() == []


@pytest.fixture
def image_url(tmp_path: Path) -> Iterator[str]:
    """A photograph on loopback."""
    (tmp_path / "cat.png").write_bytes(CHELSEA.path.read_bytes())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/cat.png"
        server.shutdown()
