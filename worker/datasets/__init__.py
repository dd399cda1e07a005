"""Data sets of labelled images: the layouts that are read, how they are split, what is checked.

Names are loaded when they are first used: the types need neither settings nor a codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from worker.datasets.contents import digest
    from worker.datasets.dataset import Dataset, Item, Split
    from worker.datasets.findings import Finding, Kind
    from worker.datasets.opening import open_dataset
    from worker.datasets.splitting import split

__all__ = [
    "Dataset",
    "Finding",
    "Item",
    "Kind",
    "Split",
    "digest",
    "open_dataset",
    "split",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Dataset": "dataset",
        "Finding": "findings",
        "Item": "dataset",
        "Kind": "findings",
        "Split": "dataset",
        "digest": "contents",
        "open_dataset": "opening",
        "split": "splitting",
    },
)
