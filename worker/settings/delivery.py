"""Settings of how results are delivered: their order, and transactions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from worker.settings.base import Count, Group, Unit

__all__ = ["ResultsSettings", "TransactionSettings"]


class ResultsSettings(Group):
    """The order in which results are published."""

    ordered: bool = Field(
        False,
        description="Whether results are published in the order of their partition's jobs; a slow "
        "job then holds back those behind it. With delivery: exactly_once they always are.",
    )


class TransactionSettings(Group):
    """Transactions, with delivery: exactly_once."""

    commit_interval: Annotated[float, Field(ge=0.01, le=60), Unit("seconds")] = Field(
        0.2,
        description="Time between the beginnings of two transactions of a partition; a result "
        "waits for the next one.",
    )
    max_records: Count = Field(
        100, description="Most jobs in a transaction; so many that wait begin one at once."
    )
    timeout: Annotated[float, Field(ge=5, le=900), Unit("seconds")] = Field(
        60.0,
        description="Time after which brokers abort a transaction; at most their "
        "transaction.max.timeout.ms.",
    )
