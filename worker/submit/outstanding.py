"""Jobs that were sent and have no result yet. Pure bookkeeping, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from worker.submit.items import Item

__all__ = ["Outstanding", "PendingJob"]


@dataclass(slots=True)
class PendingJob:
    """One job without a result.

    Attributes:
        number: its number in the submission, from 1.
        correlation: its `correlation-id`, unique to it.
        began: when it was sent, in seconds of the caller's clock.
        record_id: `topic-partition-offset` of its record; None until that is acknowledged.
        expires: when waiting for its result ends; None until its record is acknowledged.
    """

    number: int
    correlation: str
    item: Item
    began: float
    record_id: str | None = None
    expires: float | None = None


class Outstanding:
    """Finds the job that a result belongs to, and removes each job exactly once.

    A result belongs to a job if it has the job's correlation id or, where the worker had to leave
    that out, the id of the job's record. Any other result belongs to another producer, or is a
    second delivery.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, PendingJob] = {}
        # Invariant: only jobs in `_jobs`, in the order in which their records were acknowledged.
        # All wait equally long, so they also expire in this order.
        self._located: dict[str, PendingJob] = {}

    def add(self, job: PendingJob) -> None:
        """Add a job before it is sent: its result may come before the acknowledgement."""
        self._jobs[job.correlation] = job

    def locate(self, correlation: str, record_id: str, expires: float) -> None:
        """Note that a job's record is acknowledged. Does nothing if its result is there already."""
        job = self._jobs.get(correlation)
        if job is not None:
            job.record_id, job.expires = record_id, expires
            self._located[record_id] = job

    def take(self, correlation: str | None, record_id: str | None) -> PendingJob | None:
        """Remove the job that a result belongs to.

        Returns:
            The job, or None if the result belongs to no outstanding job.
        """
        job = self._jobs.get(correlation or "") or self._located.get(record_id or "")
        if job is not None:
            self._forget(job)
        return job

    def take_expired(self, now: float) -> list[PendingJob]:
        """Remove all jobs that have expired.

        Args:
            now: seconds, on the clock of `expires`.

        Returns:
            These jobs, the earliest first.
        """
        expired: list[PendingJob] = []
        for job in self._located.values():
            if job.expires is None or job.expires > now:
                break
            expired.append(job)
        for job in expired:
            self._forget(job)
        return expired

    def _forget(self, job: PendingJob) -> None:
        del self._jobs[job.correlation]
        if job.record_id is not None:
            del self._located[job.record_id]
