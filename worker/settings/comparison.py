"""Settings of what the model's answers are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from worker.settings.base import Group

__all__ = ["DriftSettings"]


class DriftSettings(Group):
    """Whether the model still answers as it did when it was evaluated; off without a baseline."""

    baseline: Path | None = Field(
        None,
        description="File that evaluate --baseline has written for this model; the last answers "
        "are compared with it (docs/drift.md).",
    )
    window: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        1000,
        description="Last answers that are compared with the baseline; until there are so many, "
        "there is no index.",
    )
