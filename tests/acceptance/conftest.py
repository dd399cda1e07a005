"""Workers and topics that are gone after the tests which use them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from tests.support.harness import Names, Traffic, Worker

MakeWorker = Callable[..., Worker]

ONE_SMALL_SLOT = {
    "WORKER_HTTP__HOST": "127.0.0.1",
    "WORKER_HTTP__PORT": "0",
    "WORKER_PREDICTOR__BACKEND": "paddle",
    "WORKER_PREDICTOR__SLOTS": "1",
    "WORKER_PREDICTOR__THREADS": "1",
    "WORKER_BATCHING__MAX_BATCH": "8",
    "WORKER_KAFKA__COMMIT_INTERVAL": "0.1",
}
"""One predictor, and nothing to measure: quick to start, and two workers fit on two cores."""

PATIENT = {
    "WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.1/32",
    "WORKER_FETCH__READ_TIMEOUT": "300",
    "WORKER_FETCH__TOTAL_TIMEOUT": "300",
    "WORKER_FETCH__DEADLINE": "300",
}
"""Waits as long as it takes for an image that a test holds back."""


@pytest.fixture(scope="session")
def quick_model(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's network on images of 32 x 32 pixels: quicker, but no answer is right."""
    directory = tmp_path_factory.mktemp("models") / "quick"
    shutil.copytree(model_dir, directory)
    description = directory / "inference.yml"
    text = description.read_text("utf-8")
    for line, smaller in [("resize_short: 256", "resize_short: 36"), ("size: 224", "size: 32")]:
        assert text.count(line) == 1
        text = text.replace(line, smaller)
    description.write_text(text, "utf-8")
    return directory


@pytest.fixture(scope="module")
def make_worker(
    quick_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeWorker]:
    """Makes workers (not started); all are gone after the module."""
    with ExitStack() as cleanup:

        def make(bootstrap_servers: str, names: Names, **environ: str) -> Worker:
            settings = {
                **ONE_SMALL_SLOT,
                "WORKER_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
                "WORKER_MODEL": str(quick_model),
                **names.environ(),
                **environ,
            }
            worker = Worker(settings, tmp_path_factory.mktemp("worker") / "log.jsonl")
            cleanup.callback(worker.kill)
            return worker

        yield make


@pytest.fixture
def names() -> Names:
    return Names.new()


@pytest.fixture
async def traffic(broker: KafkaBroker, names: Names) -> AsyncIterator[Traffic]:
    """The test's topics on the run's broker, not created yet."""
    async with Traffic(broker.bootstrap_servers, names) as traffic:
        yield traffic
