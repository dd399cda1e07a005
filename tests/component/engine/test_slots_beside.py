"""Slots of a second model beside those that serve: one model answers a job, from end to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.support.images import colour_png
from tests.support.networks import COLOURS, export_colours
from worker.budget import Budget
from worker.contract.jobs import Job, RawImage, Success
from worker.device import CPU
from worker.engine.engine import Engine
from worker.engine.model_slots import ModelSlots
from worker.failpoints import Failpoints
from worker.inference.placement import Placement
from worker.metrics import Metrics
from worker.model import ModelSpec, load_model_spec
from worker.settings import (
    BatchingSettings,
    DecodeSettings,
    PredictorSettings,
    ResultCacheSettings,
    Settings,
)

BOUND = 120.0
YELLOW = Job(RawImage(colour_png("#ffff00")), top_k=1)


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSpec]:
    """Two models with other labels, and another number of categories."""
    base = tmp_path_factory.mktemp("beside")
    old = {"Topk": {"topk": 1, "label_list": [f"old {colour}" for colour in COLOURS]}}
    new = {"Topk": {"topk": 3, "label_list": [f"new {colour}" for colour in COLOURS]}}
    return [
        load_model_spec(export_colours(base / "old", "softmax", **old)),
        load_model_spec(export_colours(base / "new", "sigmoid", **new)),
    ]


class Bench:
    """An engine that serves the first model."""

    def __init__(self, spec: ModelSpec) -> None:
        settings = Settings(
            predictor=PredictorSettings(backend="paddle"),
            batching=BatchingSettings(max_batch=2),
            decode=DecodeSettings(processes=1),
            result_cache=ResultCacheSettings(max_entries=10),
        )
        self.metrics = Metrics()
        self.engine = Engine(spec, [Placement(CPU, 1)], settings, Failpoints(), self.metrics)
        self._budget = Budget(100, 1 << 30)

    async def answer(self, job: Job = YELLOW) -> Success:
        held = self._budget.reserve(0)
        try:
            outcome = await self.engine.process(job, held)
        finally:
            held.release()
        assert isinstance(outcome, Success), outcome
        return outcome

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
async def bench(specs: list[ModelSpec]) -> AsyncIterator[Bench]:
    made = Bench(specs[0])
    async with asyncio.timeout(BOUND), AsyncExitStack() as stack:
        await made.engine.start(stack)
        yield made


async def started(bench: Bench, spec: ModelSpec) -> ModelSlots:
    slots = bench.engine.make_slots(spec)
    await slots.start()
    return slots


def told(answer: Success) -> tuple[str, str]:
    """Which model names itself, and which one's label it is."""
    assert answer.model is not None
    return answer.model.digest, answer.categories[0].name.partition(" ")[0]


async def test_what_comes_after_the_change_is_answered_by_the_new_model(
    bench: Bench, specs: list[ModelSpec]
) -> None:
    old, new = specs
    assert told(await bench.answer()) == (old.digest, "old")
    slots = await started(bench, new)
    pids = bench.engine.pids
    assert len(pids) == 2
    assert told(await bench.answer()) == (old.digest, "old"), "as long as the old one serves"
    scores = await slots.serving.scores(YELLOW.image, 0.0)  # type: ignore[arg-type] # it is raw
    assert scores.shape == (3,)
    former = bench.engine.serve(slots)
    assert former.spec is old
    assert bench.engine.spec is new
    assert told(await bench.answer()) == (new.digest, "new"), "not the one that was kept"
    await bench.engine.retire(former, BOUND)
    assert bench.engine.pids == pids[1:]
    assert bench.value("classify_predictor_slots") == 1
    assert bench.value("classify_image_processes") == 1
    kept = bench.value("classify_result_cache_entries")
    assert told(await bench.answer()) == (new.digest, "new")
    assert bench.value("classify_result_cache_entries") == kept == 2


async def test_jobs_that_the_old_model_cannot_answer_are_answered_by_the_new_one(
    bench: Bench, specs: list[ModelSpec]
) -> None:
    old, new = specs
    slots = await started(bench, new)
    # The old one's predictor hangs: it holds the jobs until it is ended.
    stuck = asyncio.Event()

    async def never(*_: object) -> object:
        stuck.set()
        await asyncio.Event().wait()
        raise AssertionError

    bench.engine.pool.classify = never  # type: ignore[assignment, method-assign] # as said
    jobs = [asyncio.create_task(bench.answer()) for _ in range(3)]
    await stuck.wait()
    former = bench.engine.serve(slots)
    await bench.engine.retire(former, 0.0)
    assert [told(answer) for answer in await asyncio.gather(*jobs)] == [(new.digest, "new")] * 3
    assert former.spec is old


async def test_slots_that_are_not_wanted_leave_nothing(
    bench: Bench, specs: list[ModelSpec]
) -> None:
    before = bench.engine.pids
    slots = await started(bench, specs[1])
    await bench.engine.end(slots)
    assert bench.engine.pids == before
    assert slots.images.pids == []
    assert bench.value("classify_predictor_slots") == 1
    assert told(await bench.answer()) == (specs[0].digest, "old")
