"""Submits images as jobs and waits for their results.

Names are loaded when they are first used: a client for Kafka takes a moment to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.submit.item_result import ItemResult
    from worker.submit.items import Encoding, Item, find_items
    from worker.submit.submission import Options, Submission

__all__ = ["Encoding", "Item", "ItemResult", "Options", "Submission", "find_items"]

_MODULES = {
    "ItemResult": "item_result",
    "Encoding": "items",
    "Item": "items",
    "Options": "submission",
    "Submission": "submission",
    "find_items": "items",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
