"""What happened in a run, as it was sent, read back and sampled: the checker's only input."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Commit", "History", "Hit", "Job", "Outcome", "Removal", "Sample", "Way"]


class Way(StrEnum):
    """How a job carries its image."""

    RAW = "raw"
    BASE64 = "base64"
    URL = "url"
    BROKEN = "broken"
    """Base64 of what is no image: the one kind of job that is to fail."""


@dataclass(frozen=True, slots=True)
class Job:
    """A record of the jobs topic: acknowledged by the brokers, or found in the topic.

    Attributes:
        job_id: unique in the run.
        sent_ms: just before it was sent, epoch milliseconds.
        birth: which of the topics of this name it is in: 0 for the first, 1 for the one that was
            made after that was deleted.
    """

    job_id: str
    way: Way
    sent_ms: int
    birth: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result or a dead letter that a `read_committed` consumer gets.

    Attributes:
        code: `errorCode`, 0 for a success; of a dead letter `dead-letter-code`.
        stage: where a dead letter says that the job failed; empty for a result.
        partition: of the results or dead-letter topic, as `offset`.
        source_partition: of the jobs topic, as `source_offset`.
        at_ms: when the partition's leader appended it, epoch milliseconds.
    """

    job_id: str
    letter: bool
    code: int
    stage: str
    partition: int
    offset: int
    source_partition: int
    source_offset: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Commit:
    """An offset that the group committed, from `__consumer_offsets`.

    Attributes:
        at_ms: when the coordinator appended it, epoch milliseconds.
    """

    partition: int
    offset: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Removal:
    """Jobs that a fault took out of the jobs topic; they may have an outcome, or none.

    Attributes:
        first: the group's committed offset just before: all jobs below have an outcome.
        end: one past the last offset that was removed.
        at_ms: just before it began, epoch milliseconds.
    """

    birth: int
    partition: int
    first: int
    end: int
    at_ms: int

    def holds(self, job: Job) -> bool:
        """Tell whether a job is one of them."""
        return (job.birth, job.partition) == (
            self.birth,
            self.partition,
        ) and self.first <= job.offset < self.end


@dataclass(frozen=True, slots=True)
class Hit:
    """An image process that a fault killed or stopped.

    Attributes:
        worker: the pid of its worker.
        at_ms: just before, epoch milliseconds.
    """

    worker: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What a worker's process held at one moment.

    Attributes:
        pid: of the process.
        late: whether it was in the quiet time after the faults; else in that before them.
        memory: resident bytes.
        descriptors: open ones.
    """

    pid: int
    late: bool
    memory: int
    descriptors: int


@dataclass(slots=True)
class History:
    """All of a run that the checker looks at.

    Attributes:
        once: whether each outcome was promised exactly once.
        ordered: whether results were promised in the order of the jobs of a partition.
        births_ms: when each of the topics of the jobs topic's name was made; the first is 0.
        crashes: workers that ended by themselves, or not as they were told.
        unsure: ids of jobs that were sent and neither acknowledged nor found in the topic.
        ends: the end of each partition of the jobs topic as it is at last.
    """

    once: bool
    ordered: bool
    jobs: Sequence[Job]
    outcomes: Sequence[Outcome]
    commits: Sequence[Commit]
    removals: Sequence[Removal] = ()
    samples: Sequence[Sample] = ()
    hits: Sequence[Hit] = ()
    births_ms: Sequence[int] = (0,)
    crashes: Sequence[str] = ()
    unsure: Collection[str] = ()
    ends: dict[int, int] = field(default_factory=dict)
