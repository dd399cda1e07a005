"""Workers and topics that are gone after the tests which use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from demo.quick_model import make_quick
from tests.support.harness import Names, Traffic, Worker
from tests.support.workers import ONE_SMALL_SLOT, MakeWorker


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this directory."""
    item.add_marker(pytest.mark.acceptance)


@pytest.fixture(scope="session")
def quick_model(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's network on images of 32 x 32 pixels: quicker, but no answer is right."""
    return make_quick(model_dir, tmp_path_factory.mktemp("models") / "quick")


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
