"""What a bare program answers, and when."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from benchmarks.bare_work import (
    AHEAD,
    AT_ONCE,
    Answers,
    Jobs,
    Nothing,
    Together,
    Work,
    ahead_of,
    make_work,
)
from benchmarks.stages import StagePlan, Stages
from worker.bench import chain
from worker.contract.records import Record

pytestmark = pytest.mark.component


def jobs(first: int, count: int) -> Jobs:
    numbers = range(first, first + count)
    return [(Record("jobs", 0, number, 0, None, b"", ()), b"image") for number in numbers]


async def first(work: Work, taken: Jobs) -> Answers:
    """What it answers first, having taken these in."""
    return await anext(aiter(work.answers(taken)))


@pytest.fixture
def counters() -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        made = chain.new_total(), chain.new_total()
        for each in made:
            stack.callback(os.close, each)
        yield made


@pytest.mark.parametrize("size", [0, 3])
async def test_the_transport_alone_answers_all_at_once(size: int) -> None:
    with ExitStack() as stack:
        work = make_work({"picture": size}, stack)
    assert isinstance(work, Nothing)
    (answers,) = [each async for each in work.answers(jobs(0, 5))]
    assert [record.offset for record, _ in answers] == [0, 1, 2, 3, 4]
    assert {outcome.picture for _, outcome in answers} == {b"\xff" * size or None}
    assert [each async for each in work.answers([])] == []


async def test_as_many_are_answered_as_have_been_through_all_stages(
    counters: tuple[int, int],
) -> None:
    begun, done = counters
    stages = Stages(begun, done)
    work = Together(0, stages, AHEAD)
    assert [each async for each in work.answers(jobs(0, AHEAD))] == []
    assert os.eventfd_read(begun) == AHEAD
    answering = asyncio.create_task(first(work, jobs(AHEAD, 1)))
    chain.give(done, AT_ONCE - 1)
    async with asyncio.timeout(60):
        while stages.finished < AT_ONCE - 1:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)
        assert not answering.done()
        chain.give(done, 1)
        answers = await answering
    assert [record.offset for record, _ in answers] == list(range(AT_ONCE))


@pytest.mark.parametrize(("predictors", "batch"), [(1, 8), (8, 32)])
async def test_what_predictors_hold_of_their_next_batches_holds_nothing_up(
    counters: tuple[int, int], predictors: int, batch: int
) -> None:
    begun, done = counters
    ahead = ahead_of(predictors, batch)
    work = Together(0, Stages(begun, done), ahead)
    assert [each async for each in work.answers(jobs(0, ahead))] == []
    assert os.eventfd_read(begun) == ahead
    # All that may be done while each of them lacks an image.
    chain.give(done, ahead + 1 - predictors * (batch - 1))
    async with asyncio.timeout(60):
        assert len(await first(work, jobs(ahead, 1))) == AT_ONCE


async def test_who_waits_first_is_served_first(counters: tuple[int, int]) -> None:
    begun, done = counters
    stages = Stages(begun, done)
    waiting = [asyncio.create_task(stages.wait(1)) for _ in range(3)]
    # All wait by now; the second one gives up.
    await asyncio.sleep(0)
    waiting[1].cancel()
    async with asyncio.timeout(60):
        chain.give(done, 1)
        await waiting[0]
        assert not waiting[2].done()
        chain.give(done, 1)
        await waiting[2]
    assert waiting[1].cancelled()


def test_a_plan_is_read_as_it_was_written() -> None:
    images = ("a.jpg", "b.jpg")
    plan = StagePlan(
        "model",
        images,
        pictures=True,
        backend="paddle",
        codecs=2,
        predictors=1,
        threads=2,
        batch=8,
        least=4,
    )
    assert StagePlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
