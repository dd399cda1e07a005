"""What a bare program does to an image between reading its job and writing its result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from benchmarks.stages import StagePlan, Stages
from worker.bench.alone_process import Alone
from worker.contract.jobs import Category, Success
from worker.contract.records import Record

__all__ = [
    "AHEAD",
    "AT_ONCE",
    "Answers",
    "Jobs",
    "Nothing",
    "OneByOne",
    "Together",
    "Work",
    "ahead_of",
    "make_work",
]

AHEAD = 128
"""Jobs that are taken in before their results are written, at least, so that no stage waits for
any. What codecs did ahead when a stretch begins makes up for what they did ahead when it ends."""

AT_ONCE = 32
"""Results that are written at once, which costs least."""

CATEGORIES = tuple(Category(number, f"class {number}", 0.2) for number in range(5))

Jobs = Sequence[tuple[Record, bytes]]
Answers = Sequence[tuple[Record, Success]]


class Work(Protocol):
    """Turns jobs into outcomes."""

    def answers(self, jobs: Jobs) -> AsyncIterator[Answers]:
        """Take in jobs, each with its image; give what is to be written at once, again and again.

        Outcomes of these jobs may come only when more have been taken in.
        """
        ...


class Nothing:
    """All jobs are answered alike; for the transport alone.

    Args:
        picture: the size of results' pictures in bytes; 0 for none.
    """

    def __init__(self, picture: int) -> None:
        self.outcome = Success(CATEGORIES, b"\xff" * picture or None)

    async def answers(self, jobs: Jobs) -> AsyncIterator[Answers]:
        """See `Work`."""
        if jobs:
            yield [(record, self.outcome) for record, _ in jobs]


class OneByOne:
    """One image after the other is decoded, computed and drawn, where the jobs are read."""

    def __init__(self, model: Path, backend: str, threads: int, *, pictures: bool) -> None:
        self._alone = Alone(model, backend, threads)
        self._pictures = pictures

    async def answers(self, jobs: Jobs) -> AsyncIterator[Answers]:
        """See `Work`."""
        for record, image in jobs:
            picture = self._alone.classify(image, picture=self._pictures)
            yield [(record, Success(CATEGORIES, picture))]


class Together(Nothing):
    """All jobs are answered alike, at the pace of processes that do as much work.

    As many images are decoded and computed as results are written, and no fewer; but which ones
    they are is nobody's concern.

    Args:
        ahead: jobs that are taken in before their results are written; see `ahead_of`.
    """

    def __init__(self, picture: int, stages: Stages, ahead: int) -> None:
        super().__init__(picture)
        self._stages, self._ahead = stages, ahead
        self._waiting: list[Record] = []

    async def answers(self, jobs: Jobs) -> AsyncIterator[Answers]:
        """See `Work`."""
        self._stages.begin(len(jobs))
        self._waiting += [record for record, _ in jobs]
        while len(self._waiting) > self._ahead:
            await self._stages.wait(AT_ONCE)
            answered, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            yield [(record, self.outcome) for record in answered]


def ahead_of(predictors: int, batch: int) -> int:
    """Choose how many jobs are taken in before their results are written.

    Predictors share what is decoded, and each waits for a whole batch. Those that hold the most of
    one that they can must not hold what the next results wait for.

    Args:
        predictors: processes.
        batch: images that each computes at once.

    Returns:
        The number of jobs.
    """
    return max(AHEAD, AT_ONCE + predictors * batch)


def make_work(described: dict[str, Any], stack: ExitStack) -> Work:
    """Make what a JSON object describes: the arguments of one of the classes here.

    Args:
        stack: ends what is started.

    Returns:
        The work, ready.
    """
    match described:
        case {"stages": stages, "picture": picture}:
            plan = StagePlan.from_json(stages)
            ahead = ahead_of(plan.predictors, plan.batch)
            return Together(picture, Stages.start(plan, stack), ahead)
        case {"model": model, **arguments}:
            return OneByOne(Path(model), **arguments)
        case _:
            return Nothing(**described)
