"""Submits images as jobs and waits for their results.

Names are loaded when they are first used: a client for Kafka takes a moment to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from worker.submit.item_result import ItemResult
    from worker.submit.items import Encoding, Item, find_items
    from worker.submit.submission import Options, Submission

__all__ = ["Encoding", "Item", "ItemResult", "Options", "Submission", "find_items"]

__getattr__ = lazy_names(
    __name__,
    {
        "ItemResult": "item_result",
        "Encoding": "items",
        "Item": "items",
        "Options": "submission",
        "Submission": "submission",
        "find_items": "items",
    },
)
