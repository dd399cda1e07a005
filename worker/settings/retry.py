"""Settings of what may become of a job besides its one attempt: delayed retries, duplicates."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, field_validator

from worker.settings.base import Count, Group
from worker.settings.durations import Duration, duration_label
from worker.settings.lists import elements

__all__ = ["DuplicateSettings", "RetrySettings"]


class RetrySettings(Group):
    """Jobs that fail for a passing reason are tried again later; off without delays."""

    delays: tuple[Duration, ...] = Field(
        (),
        max_length=16,
        description="Delays before the first, second, ... retry, such as 10s, 1m, 10m, each longer "
        "than the one before. Each has a topic of its own. After the last one the job fails.",
    )
    topic: str | None = Field(
        None,
        min_length=1,
        description="Beginning of the retry topics' names, which end in -10s, -1m, ...; "
        "kafka.jobs_topic and -retry when unset.",
    )

    def topics(self, jobs_topic: str) -> dict[str, float]:
        """Name the retry topics.

        Returns:
            The delay in seconds by topic, the shortest first.
        """
        prefix = f"{jobs_topic}-retry" if self.topic is None else self.topic
        return {f"{prefix}-{duration_label(delay)}": delay for delay in self.delays}

    @field_validator("delays", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Take a list, a JSON array or `10s,1m`; nothing is the empty list."""
        if value is None:
            return ()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return (value,)
        return elements(value) if isinstance(value, str) else value

    @field_validator("delays", mode="after")
    @classmethod
    def _growing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for shorter, longer in pairwise(value):
            if longer <= shorter:
                raise ValueError(
                    f"after {duration_label(shorter)} comes {duration_label(longer)}; each delay "
                    "must be longer than the one before, since each has a topic of its own"
                )
        return value


class DuplicateSettings(Group):
    """Jobs that producers send twice under the same jobId are done once; off without a window."""

    window: Duration | None = Field(
        None,
        description="Time after a job was answered with success in which other records with its "
        "jobId get no answer of their own, such as 10m.",
    )
    max_jobs: Count = Field(
        100_000,
        description="Most answered jobs remembered, about 300 bytes each; the oldest are forgotten "
        "first.",
    )
