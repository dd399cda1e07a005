"""Tests of what is in deploy/, each with the real tool that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from demo.quick_model import make_quick
from tests.support.observed import Observed, observe


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this directory."""
    item.add_marker(pytest.mark.deploy)


@pytest.fixture(scope="session")
def observed(
    broker: KafkaBroker, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    """Two workers that have been through much, and the servers that watched them."""
    directory = tmp_path_factory.mktemp("observed")
    model = make_quick(model_dir, directory / "model")
    with observe(broker.bootstrap_servers, model, directory) as running:
        yield running
