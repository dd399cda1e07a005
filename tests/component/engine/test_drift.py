"""A real model's answers are compared with its baseline, also those from the result cache."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np

from tests.support.images import colour_png
from tests.support.networks import COLOURS, export_colours
from worker.budget import Budget
from worker.contract.jobs import Job, RawImage, Success
from worker.device import CPU
from worker.drift.baseline import write_baseline
from worker.drift.counting import BaselineCounts
from worker.drift.watch import DriftWatch
from worker.engine.engine import Engine
from worker.failpoints import Failpoints
from worker.inference.placement import Placement
from worker.metrics import Metrics
from worker.model import ModelSpec, load_model_spec
from worker.settings import (
    BatchingSettings,
    DecodeSettings,
    DriftSettings,
    PredictorSettings,
    ResultCacheSettings,
    Settings,
)

BOUND = 120.0
WINDOW = 100
RED, YELLOW = (Job(RawImage(colour_png(colour)), top_k=1) for colour in ("#ff0000", "#ffff00"))
POST = {"Topk": {"topk": 1, "label_list": list(COLOURS)}}


def of_red_images(spec: ModelSpec, path: Path) -> None:
    """Write the baseline of a model that has seen red images: softmax of 4, -4, -4."""
    counts = BaselineCounts()
    for _ in range(1000):
        counts.count(np.array([0.99933, 0.00033, 0.00033], np.float32), "red")
    write_baseline(path, counts.baseline(spec.name, spec.digest, "sha256:red"))


async def test_answers_like_the_baselines_are_no_drift_and_others_are(tmp_path: Path) -> None:
    spec = load_model_spec(export_colours(tmp_path / "model", "softmax", **POST))
    path = tmp_path / "baseline.json"
    of_red_images(spec, path)
    settings = Settings(
        predictor=PredictorSettings(backend="paddle"),
        batching=BatchingSettings(max_batch=4),
        decode=DecodeSettings(processes=1),
        result_cache=ResultCacheSettings(max_entries=10),
        drift=DriftSettings(baseline=path, window=WINDOW),
    )
    metrics, budget = Metrics(), Budget(WINDOW, 1 << 30)
    drift = DriftWatch(settings.drift, metrics)
    engine = Engine(spec, [Placement(CPU, 1)], settings, Failpoints(), metrics, drift=drift)

    async def answer(job: Job) -> None:
        held = budget.reserve(0)
        try:
            outcome = await engine.process(job, held)
        finally:
            held.release()
        assert isinstance(outcome, Success), outcome

    def indices() -> dict[str, float | None]:
        name, value = "classify_drift_stability_index", metrics.registry.get_sample_value
        kinds = ("classes", "scores", "entropies")
        return {kind: value(name, {"digest": spec.digest, "kind": kind}) for kind in kinds}

    async with asyncio.timeout(BOUND), AsyncExitStack() as stack:
        await engine.start(stack)
        # Most are answered from the cache, which are answers too.
        await asyncio.gather(*(answer(RED) for _ in range(WINDOW - 1)))
        assert set(indices().values()) == {None}, "there are too few yet"
        await answer(RED)
        assert all(index is not None and index < 0.01 for index in indices().values()), indices()
        # Red and green alike: the class stays, the scores and what they are spread over change.
        await asyncio.gather(*(answer(YELLOW) for _ in range(WINDOW // 2)))
        found = indices()
        assert found["classes"] is not None
        assert found["classes"] < 0.01
        for kind in ("scores", "entropies"):
            index = found[kind]
            assert index is not None
            assert index > 0.25
