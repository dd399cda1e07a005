"""Orders of events that a real broker seldom produces, with a scripted one in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import pytest

from worker.contract.jobs import Category, ModelIdentity, Success
from worker.contract.parsing import parse_job
from worker.contract.records import Message, Record
from worker.contract.results import result_message, without_copies
from worker.errors import KafkaSetupError
from worker.settings import Settings
from worker.submit import Encoding, Item, ItemResult, Options, Submission, submission

Shape = Callable[[Message], Message]

MODEL = ModelIdentity("m", "sha256:0", "paddle")


class Script:
    """A broker and a worker in one.

    Args:
        early: results come before their job is acknowledged.
        shape: what becomes of a result on its way.
    """

    max_bytes = 1000

    def __init__(self, *, early: bool = False, shape: Shape = lambda message: message) -> None:
        self._early = early
        self._shape = shape
        self._results: asyncio.Queue[Record] = asyncio.Queue()
        self._polled = asyncio.Event()
        self.waiting = self.most_waiting = self.sent = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, message: Message) -> str:
        record = Record("jobs", 0, self.sent, 0, message.key, message.value, message.headers)
        self.sent += 1
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        outcome = Success((Category(1, "any", 0.5),))
        job_id = parse_job(record).job_id
        result = self._shape(result_message(record, job_id, outcome, MODEL))
        self._polled.clear()
        self._results.put_nowait(
            Record("results", 0, record.offset, 0, result.key, result.value, result.headers)
        )
        if self._early:
            await self._polled.wait()
            for _ in range(10):  # turns of the loop, in which the result is looked at
                await asyncio.sleep(0)
        return record.id

    async def poll(self, wait: float) -> list[Record]:
        try:
            async with asyncio.timeout(wait):
                record = await self._results.get()
        except TimeoutError:
            return []
        self.waiting -= 1
        self._polled.set()
        return [record]


async def items(count: int) -> AsyncIterator[Item]:
    for number in range(count):
        yield Item(str(number), {"image": "x"}, Encoding.JSON)


async def run(
    script: Script, count: int, monkeypatch: pytest.MonkeyPatch, *, missing: int = 0
) -> list[ItemResult]:
    """Submit `count` jobs, and files that are not there."""

    async def given() -> AsyncIterator[Item]:
        async for item in items(count):
            yield item
        for number in range(missing):
            yield Item(f"{number}.jpg", Path(f"/nowhere/{number}.jpg"), Encoding.BASE64)

    monkeypatch.setattr(submission, "JobClient", lambda *_: script)
    answers: list[ItemResult] = []
    made = Submission(Settings(), Options(timeout=30.0), lambda _: None, answers.append)
    await made.run(given())
    assert sorted(answer.number for answer in answers) == list(range(1, count + missing + 1))
    return answers


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("shape", [lambda message: message, without_copies])
async def test_results_find_their_jobs_before_and_after_the_acknowledgement(
    early: bool, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = await run(Script(early=early, shape=shape), 5, monkeypatch)
    assert {answer.code for answer in answers} == {0}


async def test_few_jobs_are_outstanding_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "MAX_OUTSTANDING", 3)
    script = Script()
    await run(script, 40, monkeypatch)
    assert script.sent == 40
    assert script.most_waiting == 3


async def test_a_file_that_cannot_be_read_costs_itself_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = await run(Script(), 1, monkeypatch, missing=1)
    found = {answer.item.name: (answer.code, answer.reason) for answer in answers}
    assert found == {"0": (0, None), "0.jpg": (None, "not_found")}


async def test_a_broker_that_fails_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Script):
        async def send(self, message: Message) -> str:
            raise KafkaSetupError("gone")

    with pytest.raises(KafkaSetupError, match="gone"):
        await run(Failing(), 5, monkeypatch)
