"""What carries jobs and results of a client, with a broker and a worker played by a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from worker.contract.jobs import Category, ModelIdentity, Outcome, Success
from worker.contract.parsing import parse_job
from worker.contract.records import Message, Record
from worker.contract.results import result_message

__all__ = ["DONE", "Script", "turns"]

MODEL = ModelIdentity("m", "sha256:0", "paddle")
DONE = Success((Category(1, "any", 0.5),))


async def turns(count: int = 10) -> None:
    """Give the other tasks some turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


class Script:
    """Acknowledges each job, and answers it when it is polled.

    Args:
        early: results come before their job is acknowledged.
        shape: what becomes of a result on its way.
        outcome: of each job; None answers none.

    Attributes:
        acknowledging: clear it to keep jobs from being acknowledged.
        answering: clear it to keep results back.
        arrived: has a permit for each job.
        sent: the jobs as they were read by the worker's own parser.
        most_waiting: most jobs that had no result at the same time.
    """

    max_bytes = 1000

    def __init__(
        self,
        *,
        early: bool = False,
        shape: Callable[[Message], Message] = lambda message: message,
        outcome: Outcome | None = DONE,
    ) -> None:
        self._early = early
        self._shape = shape
        self._outcome = outcome
        self._results: asyncio.Queue[Record] = asyncio.Queue()
        self._polled = asyncio.Event()
        self.acknowledging = asyncio.Event()
        self.acknowledging.set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.arrived = asyncio.Semaphore(0)
        self.sent: list[Record] = []
        self.waiting = self.most_waiting = self.open = 0

    async def __aenter__(self) -> Self:
        self.open += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open -= 1

    async def send(self, message: Message) -> str:
        offset = len(self.sent)
        record = Record("jobs", 0, offset, 0, message.key, message.value, message.headers)
        self.sent.append(record)
        self.arrived.release()
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        if self._outcome is not None:
            self._polled.clear()
            self.answer(record, self._outcome)
            if self._early:
                await self._polled.wait()
                await turns()  # in which the result is looked at
        await self.acknowledging.wait()
        return record.id

    def answer(self, job: Record, outcome: Outcome = DONE) -> None:
        """Publish a result."""
        result = self._shape(result_message(job, parse_job(job).job_id, outcome, MODEL))
        self.publish(result)

    def publish(self, result: Message) -> None:
        """Publish a record on the results topic."""
        self._results.put_nowait(Record("results", 0, 0, 0, None, result.value, result.headers))

    def polled_all(self) -> bool:
        """Whether all that was published has been polled."""
        return self._results.empty()

    async def poll(self, wait: float) -> list[Record]:
        await self.answering.wait()
        try:
            async with asyncio.timeout(wait):
                record = await self._results.get()
        except TimeoutError:
            return []
        self.waiting -= 1
        self._polled.set()
        return [record]
