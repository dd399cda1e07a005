"""The built image, and workers in its containers. `make test-deploy` builds it and runs these."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.containers import HARDENED, ContainerWorker, docker, random_user
from tests.support.harness import Names
from tests.support.workers import ONE_SMALL_SLOT
from worker import __version__

MakeContainer = Callable[..., ContainerWorker]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this directory."""
    item.add_marker(pytest.mark.deploy)


@pytest.fixture(scope="session")
def image() -> str:
    """The image's name; the engine must have it."""
    name = os.environ.get("IMAGE", f"classify-worker:{__version__}")
    docker("image", "inspect", name)
    return name


@pytest.fixture
def cache_volume() -> Iterator[str]:
    """An empty volume, as the engine makes it of the image's cache directory."""
    name = f"cache-{uuid.uuid4().hex[:12]}"
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", "--force", name)


@pytest.fixture
def make_container(
    image: str, quick_model: Path, cache_volume: str, tmp_path: Path
) -> Iterator[MakeContainer]:
    """Makes workers (not started) in hardened containers with one cache; gone after the test."""
    with ExitStack() as cleanup:

        def make(bootstrap_servers: str, names: Names, **environ: str) -> ContainerWorker:
            settings = {
                **ONE_SMALL_SLOT,
                "WORKER_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
                "WORKER_MODEL": "/models/quick",
                **names.environ(),
                **environ,
            }
            options = [
                *HARDENED,
                *("--user", random_user()),
                *("--volume", f"{cache_volume}:/var/cache/classify-worker"),
                *("--volume", f"{quick_model}:/models/quick:ro"),
            ]
            log = tmp_path / f"{uuid.uuid4().hex}.jsonl"
            made = ContainerWorker(image, settings, log, options)
            cleanup.callback(made.kill)
            return made

        yield make
