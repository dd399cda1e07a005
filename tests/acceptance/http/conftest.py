"""`classify-worker serve` on loopback: one for the run, others for tests that need their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.conftest import ONE_SMALL_SLOT, PATIENT
from tests.support.harness import Worker
from tests.support.images import colour_png, job

MakeService = Callable[..., Worker]

SETTINGS = {
    **ONE_SMALL_SLOT,
    **PATIENT,
    "WORKER_FETCH__ALLOW_NETWORKS": '["127.0.0.0/8"]',
    "WORKER_FETCH__ATTEMPTS": "1",
    "WORKER_DECODE__MAX_BYTES": str(1 << 20),
    "WORKER_LOG__LEVEL": "debug",
}


@pytest.fixture(scope="session")
def service(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The run's service, warm: leave it running as it is."""
    log_path = tmp_path_factory.mktemp("service") / "log.jsonl"
    worker = Worker({**SETTINGS, "WORKER_MODEL": str(model_dir)}, log_path, "serve")
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
            settings = {**SETTINGS, "WORKER_MODEL": str(quick_model), **environ}
            worker = Worker(settings, tmp_path_factory.mktemp("service") / "log.jsonl", "serve")
            cleanup.callback(worker.kill)
            return worker.start()

        yield make


@pytest.fixture(scope="session")
def small_request() -> bytes:
    """A request that succeeds, without a picture in its answer."""
    return job(colour_png("#336699"), visualize=False)
