"""What becomes of a job, as callers of a client get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from worker.client.errors import JobRefused, ResultTimeout, ServiceError
from worker.contract.jobs import Category, ModelIdentity

__all__ = ["Category", "Classification", "JobOutcome", "ModelIdentity"]

S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Classification:
    """The result of a job that was done.

    Attributes:
        categories: best first, with `id`, `name` and `score` from 0 to 1; empty if no score reaches
            the model's threshold.
        image: the picture with its label, a JPEG file's bytes; None if none was asked for, or if it
            was too large for the results topic (`image_omitted`).
        job_id: the job's id.
        model: what computed it: `name`, `digest`, `backend`; None if the result does not say.
        image_omitted: whether the picture was left out since the topic takes no message so large.
    """

    categories: tuple[Category, ...]
    image: bytes | None
    job_id: str
    model: ModelIdentity | None = None
    image_omitted: bool = False

    @property
    def top1(self) -> Category | None:
        """The best category, or None if there is none."""
        return self.categories[0] if self.categories else None


@dataclass(frozen=True, slots=True)
class JobOutcome(Generic[S_co]):
    """How one of many jobs ended: either `result` or `error` is not None.

    Attributes:
        number: of its source, from 0 in the order in which they were given.
        source: as the caller gave it.
        job_id: the job's id.
        result: what the worker answered; None for a failure.
        error: why there is none.
        record_id: `topic-partition-offset` of the job's record; None over HTTP, and while the
            brokers have not acknowledged it.
        latency: seconds from sending the job to its result; None if there is none.
    """

    number: int
    source: S_co
    job_id: str
    result: Classification | None = None
    error: JobRefused | ResultTimeout | ServiceError | None = None
    record_id: str | None = None
    latency: float | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.result is not None

    def unwrap(self) -> Classification:
        """Get the result.

        Returns:
            The result.

        Raises:
            JobRefused: the job ended without success.
            ResultTimeout: there was no result in time.
            ServiceError: the service could not be reached, or answered something else.
        """
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result
