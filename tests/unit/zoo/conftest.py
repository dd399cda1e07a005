"""A loopback host of archives, and no waiting between attempts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.zoo_host import Host
from worker.retry import Retry
from worker.zoo import download


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as running:
        yield running


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's, and no pause before another attempt."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "STALLED", Retry(0.0, 0.0, attempts=5))
