"""Jobs that have been sent and not answered. Pure bookkeeping, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from worker.submit.items import Item

__all__ = ["Outstanding", "PendingJob"]


@dataclass(slots=True)
class PendingJob:
    """One job without an answer.

    Attributes:
        number: its place in the submission, from 1.
        correlation: unique to it.
        began: when it was sent, in seconds of the caller's clock.
        record_id: `topic-partition-offset` of its record, once acknowledged.
        expires: when it has waited long enough; None before its record is acknowledged.
    """

    number: int
    correlation: str
    item: Item
    began: float
    record_id: str | None = None
    expires: float | None = None


class Outstanding:
    """Finds the job to a result, and lets each job go exactly once.

    A result belongs to a job if it carries the job's correlation id or, where the worker had to
    drop that, names the job's record. Any other result is somebody else's, or a second delivery.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, PendingJob] = {}
        # Invariant: only jobs in `_jobs`, in the order in which their records were acknowledged;
        # since all wait equally long, that is also the order in which they expire.
        self._located: dict[str, PendingJob] = {}

    def add(self, job: PendingJob) -> None:
        """A job is about to be sent: its result may come before the acknowledgement."""
        self._jobs[job.correlation] = job

    def locate(self, correlation: str, record_id: str, expires: float) -> None:
        """A job's record is acknowledged; no-op if its answer has come already."""
        job = self._jobs.get(correlation)
        if job is not None:
            job.record_id, job.expires = record_id, expires
            self._located[record_id] = job

    def take(self, correlation: str | None, record_id: str | None) -> PendingJob | None:
        """Let the job of a result go; None if the result is not for any job that waits."""
        job = self._jobs.get(correlation or "") or self._located.get(record_id or "")
        if job is not None:
            self._forget(job)
        return job

    def take_expired(self, now: float) -> list[PendingJob]:
        """Let all jobs go that have waited long enough."""
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
