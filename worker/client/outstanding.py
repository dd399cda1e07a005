"""Jobs that were sent and have no result yet. Pure bookkeeping, no I/O."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from worker.contract.records import Record

__all__ = ["Outstanding", "PendingJob"]


@dataclass(slots=True, eq=False)
class PendingJob:
    """One job without a result.

    Attributes:
        correlation: its `correlation-id`, unique to it.
        answer: gets the record of its result, or why there will be none.
        record_id: `topic-partition-offset` of its record; None until that is acknowledged.
    """

    correlation: str
    answer: asyncio.Future[Record]
    record_id: str | None = None


class Outstanding:
    """Finds the job that a result belongs to, and removes each job exactly once.

    A result belongs to a job if it has the job's correlation id or, where the worker had to leave
    that out, the id of the job's record. Any other result belongs to another producer, or is a
    second delivery.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, PendingJob] = {}
        # Invariant: only jobs in `_jobs`, those whose records are acknowledged.
        self._located: dict[str, PendingJob] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: PendingJob) -> None:
        """Add a job before it is sent: its result may come before the acknowledgement."""
        self._jobs[job.correlation] = job

    def locate(self, job: PendingJob, record_id: str) -> None:
        """Note that a job's record is acknowledged, also if its result is there already."""
        job.record_id = record_id
        if job.correlation in self._jobs:
            self._located[record_id] = job

    def take(self, correlation: str | None, record_id: str | None) -> PendingJob | None:
        """Remove the job that a result belongs to.

        Returns:
            The job, or None if the result belongs to no outstanding job.
        """
        job = self._jobs.get(correlation or "") or self._located.get(record_id or "")
        if job is not None:
            self.forget(job)
        return job

    def take_all(self) -> list[PendingJob]:
        """Remove all jobs.

        Returns:
            These jobs, in the order in which they were added.
        """
        jobs = list(self._jobs.values())
        self._jobs.clear()
        self._located.clear()
        return jobs

    def forget(self, job: PendingJob) -> None:
        """Remove a job whose result is no longer wanted. Does nothing if it is gone already."""
        self._jobs.pop(job.correlation, None)
        if job.record_id is not None:
            self._located.pop(job.record_id, None)
