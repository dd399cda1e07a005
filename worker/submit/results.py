"""What became of a submitted item."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.contract.categories import categories_to_json
from worker.contract.jobs import Category
from worker.submit.items import Item

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one item.

    Attributes:
        number: its number in the submission, from 1.
        record_id: `topic-partition-offset` of its job; None if it was not sent or is not known.
        code: the result's `errorCode`, 0 for a success; None when there is no result.
        error: what went wrong, or None.
        categories: best first; empty on failure.
        latency: seconds from sending the job to its result; None when there is no result.
        picture: where the result's picture was saved, or None.
    """

    number: int
    item: Item
    record_id: str | None = None
    code: int | None = None
    error: str | None = None
    categories: tuple[Category, ...] = ()
    latency: float | None = None
    picture: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Encode it as one line of the command's JSON output."""
        return {
            "job": self.item.name,
            "way": self.item.encoding.value,
            "id": self.record_id,
            "errorCode": self.code,
            "errorMsg": self.error or "Success",
            "categories": categories_to_json(self.categories),
            "latencySeconds": None if self.latency is None else round(self.latency, 4),
            "picture": None if self.picture is None else str(self.picture),
        }
