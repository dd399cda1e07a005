"""Jobs hold on to the model that they began with; when it is replaced, none is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from tests.support.small_model import SPEC
from worker.engine.serving import ServingModel, WithdrawnError
from worker.metrics import Metrics

BOUND = 10.0


class Network:
    """A predictor pool in name alone."""

    backend = ""


def model() -> ServingModel:
    return ServingModel(SPEC, cast("Any", Network()), cast("Any", None), Metrics())


class Work:
    """A job that stays in its model until it is told to leave it."""

    def __init__(self, serving: ServingModel) -> None:
        self.serving = serving
        self.done = asyncio.Event()
        self.begun = asyncio.Event()
        self.goes_on = False

    async def run(self) -> None:
        try:
            await self.serving.hold(self._work)
        except WithdrawnError:
            self.goes_on = True

    async def _work(self, _: ServingModel) -> None:
        self.begun.set()
        await self.done.wait()


async def begin(serving: ServingModel) -> tuple[Work, asyncio.Task[None]]:
    work = Work(serving)
    task = asyncio.create_task(work.run())
    await work.begun.wait()
    return work, task


async def test_a_model_without_jobs_is_drained_at_once() -> None:
    async with asyncio.timeout(BOUND):
        await model().drained(0.0)


async def test_it_is_drained_when_its_last_job_has_left() -> None:
    serving = model()
    (one, first), (other, second) = await begin(serving), await begin(serving)
    draining = asyncio.create_task(serving.drained(BOUND))
    one.done.set()
    await first
    assert not draining.done()
    other.done.set()
    await second
    async with asyncio.timeout(BOUND):
        await draining
    assert not one.goes_on
    assert not other.goes_on


async def test_a_job_that_is_not_done_in_time_is_told_to_go_on_elsewhere() -> None:
    serving = model()
    work, task = await begin(serving)
    async with asyncio.timeout(BOUND):
        await serving.drained(0.0)
        await task
    assert work.goes_on
    assert task.cancelling() == 0, "what it does next is not cancelled"


async def test_a_job_that_is_withdrawn_by_its_caller_does_not_go_on() -> None:
    serving = model()
    work, task = await begin(serving)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not work.goes_on
    async with asyncio.timeout(BOUND):
        await serving.drained(BOUND)


async def test_nor_does_one_that_both_have_cancelled() -> None:
    serving = model()
    work, task = await begin(serving)
    task.cancel()
    async with asyncio.timeout(BOUND):
        await serving.drained(0.0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not work.goes_on


async def test_a_job_that_ends_although_it_is_told_to_leave_keeps_its_answer() -> None:
    serving = model()
    begun, answers = asyncio.Event(), []

    async def work(_: ServingModel) -> str:
        begun.set()
        with suppress(asyncio.CancelledError):  # as `asyncio.wait_for` does with what is there
            await asyncio.Event().wait()
        return "an answer"

    async def run() -> None:
        answers.append(await serving.hold(work))

    task = asyncio.create_task(run())
    await begun.wait()
    async with asyncio.timeout(BOUND):
        await serving.drained(0.0)
        await task
    assert answers == ["an answer"]
    assert task.cancelling() == 0, "its caller's time-outs are its own"


async def test_its_identity_is_one_value_once_it_is_known_what_computes() -> None:
    serving = model()
    assert serving.identity.backend == ""
    cast("Any", serving.classifier).backend = "paddle"
    first = serving.identity
    assert (first.name, first.digest, first.backend) == (SPEC.name, SPEC.digest, "paddle")
    assert serving.identity is first, "kept results share it"
