"""Parts of the worker with a real broker, a real model, or processes of their own."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this directory."""
    item.add_marker(pytest.mark.component)
