"""`classify-worker serve` on loopback: one for the run, others for tests that need their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.harness import Worker
from tests.support.images import colour_png, job
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
