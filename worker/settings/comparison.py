"""Settings of what the model's answers are compared with: a baseline, and another model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from worker.settings.base import Group

__all__ = ["DriftSettings", "ShadowSettings"]


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


class ShadowSettings(Group):
    """A second model that computes some of the images too, for comparison; off without a model."""

    model: str | None = Field(
        None,
        min_length=1,
        description="Name or directory of the model, as in model; its answers are never published "
        "(docs/drift.md).",
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1,
        description="Share of the images that it gets, 0 to 1; of these it computes what it can "
        "while the first model leaves slots idle.",
    )
