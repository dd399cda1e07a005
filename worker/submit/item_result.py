"""What became of a submitted item."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worker.contract.jobs import Category, ModelIdentity
from worker.predict.save_target import JSON_SUFFIX
from worker.submit.items import Item

__all__ = ["ItemResult"]


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item.

    Attributes:
        number: its number in the submission, from 1.
        record_id: `topic-partition-offset` of its job; None if it was not sent or is not known.
        code: the result's `errorCode`, 0 for a success; None when there is no result.
        error: what went wrong, or None.
        reason: the failure's label if the item was not sent; a result has its code alone.
        categories: best first; empty on failure.
        latency: seconds from sending the job to its result; None when there is no result.
        saved: the file in which the result's picture, or the result as JSON, was saved, or None.
        model: what computed the categories; None on failure, or if the result does not say.
    """

    number: int
    item: Item
    record_id: str | None = None
    code: int | None = None
    error: str | None = None
    categories: tuple[Category, ...] = ()
    latency: float | None = None
    saved: Path | None = None
    reason: str | None = None
    model: ModelIdentity | None = None

    @property
    def picture(self) -> Path | None:
        """Where the result's picture was saved, or None."""
        is_json = self.saved is not None and self.saved.suffix.lower() == JSON_SUFFIX
        return None if is_json else self.saved
