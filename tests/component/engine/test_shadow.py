"""A second real model beside the one that serves: it is compared, gives way, and is not missed.

What gives way to all others may get no time at all on a machine that is busy. So the tests that
wait for answers let it run as others do, and those of its priority do not wait for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import yaml

from tests.support.images import colour_png
from tests.support.networks import COLOURS, export_colours
from worker.app.shadowing import cast_shadow
from worker.budget import Budget
from worker.contract.jobs import Job, RawImage, Success
from worker.device import CPU
from worker.engine.engine import Engine
from worker.errors import PredictorError
from worker.failpoints import Failpoints
from worker.imaging.nursery import Nursery
from worker.inference.placement import Placement
from worker.inference.slot import Slot
from worker.metrics import Metrics
from worker.model import load_model_spec
from worker.settings import (
    BatchingSettings,
    DecodeSettings,
    PredictorSettings,
    Settings,
    ShadowSettings,
)

BOUND = 120.0
RED = Job(RawImage(colour_png("#ff0000")), top_k=1)
FIRST = {"Topk": {"topk": 1, "label_list": list(COLOURS)}}


class Bench:
    """An engine with a shadow that gets all images."""

    def __init__(self, first: Path, second: Path) -> None:
        self.settings = Settings(
            predictor=PredictorSettings(backend="paddle"),
            batching=BatchingSettings(max_batch=2),
            decode=DecodeSettings(processes=1),
            shadow=ShadowSettings(model=str(second), share=1.0),
        )
        self.metrics = Metrics()
        self._placements = [Placement(CPU, 1)]
        self.engine = Engine(
            load_model_spec(first), self._placements, self.settings, Failpoints(), self.metrics
        )
        self._budget = Budget(100, 1 << 30)

    async def cast(self) -> None:
        await cast_shadow(self.engine, self.settings, self._placements, Failpoints(), self.metrics)

    async def answer(self) -> str:
        """The best class of a red image."""
        held = self._budget.reserve(0)
        try:
            outcome = await self.engine.process(RED, held)
        finally:
            held.release()
        assert isinstance(outcome, Success), outcome
        assert outcome.model is not None
        assert outcome.model.digest == self.engine.spec.digest
        return outcome.categories[0].name

    def count(self, outcome: str) -> float:
        labels = {"outcome": outcome}
        return self.metrics.registry.get_sample_value("classify_shadow_images_total", labels) or 0.0

    async def until(self, reached: Callable[[], bool]) -> None:
        """Answer a job at a time until something has happened; the shadow has the rest."""
        while not reached():
            if self.pids():
                assert await self.answer() == "red"
            await asyncio.sleep(0.02)

    def pids(self) -> list[int]:
        return [] if self.engine.shadow is None else self.engine.shadow.pids


Begin = Callable[[Path, Path], Awaitable[Bench]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    async with asyncio.timeout(BOUND), AsyncExitStack() as stack:

        async def start(first: Path, second: Path) -> Bench:
            bench = Bench(first, second)
            await bench.engine.start(stack)
            casting = asyncio.create_task(bench.cast())
            stack.push_async_callback(ended, casting)
            return bench

        yield start


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_colours(tmp_path_factory.mktemp("first"), "softmax", **FIRST)


async def test_it_is_compared_and_may_crash(first: Path, tmp_path: Path, begin: Begin) -> None:
    labels = [f"so {colour}" for colour in COLOURS]
    labels[0] = "red"
    second = export_colours(tmp_path / "second", "sigmoid", Topk={"topk": 3, "label_list": labels})
    bench = await begin(first, second)
    await bench.until(lambda: bench.count("agreed") >= 2)
    (pid,) = bench.pids()
    assert pid in bench.engine.pids
    assert pid not in bench.engine.pool.pids
    os.kill(pid, signal.SIGKILL)
    agreed = bench.count("agreed")
    await bench.until(lambda: bench.count("agreed") > agreed)
    assert bench.pids() != [pid]
    assert bench.metrics.registry.get_sample_value("classify_predictor_slots") == 1
    restarts = {"cause": "crash"}
    name = "classify_predictor_restarts_total"
    assert bench.metrics.registry.get_sample_value(name, restarts) == 0, "not of the first model"
    assert bench.count("differed") == 0


async def test_another_transform_is_done_by_processes_of_its_own(
    first: Path, tmp_path: Path, begin: Begin
) -> None:
    post = {"Topk": {"topk": 1, "label_list": ["green", "red", "blue"]}}
    second = export_colours(tmp_path / "second", "softmax", **post)
    config = second / "inference.yml"
    content = yaml.safe_load(config.read_text("utf-8"))
    content["PreProcess"]["transform_ops"][0] = {
        "ResizeImage": {"size": 16, "interpolation": "NEAREST"}
    }
    config.write_text(yaml.safe_dump(content), "utf-8")
    bench = await begin(first, second)
    await bench.until(lambda: bench.count("differed") >= 2)
    assert len(bench.pids()) == 3, "a predictor, an image process, and the one that forks it"
    assert bench.count("agreed") == bench.count("failed") == 0


async def test_a_predictor_gives_way_before_it_loads_anything(first: Path) -> None:
    slot = Slot(
        load_model_spec(first),
        CPU,
        threads=1,
        capacity=1,
        timeout=BOUND,
        start_timeout=BOUND,
        failpoints=Failpoints(),
        idle=True,
    )
    starting = asyncio.create_task(asyncio.to_thread(slot.start))
    try:
        await gives_way(lambda: slot.pid)
    finally:
        slot.interrupt()
        with suppress(PredictorError):
            await starting
        slot.kill()


async def test_image_processes_give_way_from_the_process_on_that_forks_them() -> None:
    nursery = Nursery(idle=True)
    starting = asyncio.create_task(nursery.start())
    try:
        await gives_way(lambda: nursery.pid)
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        nursery.stop()


async def gives_way(find: Callable[[], int | None]) -> None:
    """Wait until a process that is being started takes only what is left over."""
    async with asyncio.timeout(BOUND):
        while True:
            pid = find()
            if pid is not None and os.sched_getscheduler(pid) == os.SCHED_IDLE:
                assert os.getpriority(os.PRIO_PROCESS, pid) == 19
                return
            await asyncio.sleep(0.02)
