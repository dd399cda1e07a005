"""A shadow model that cannot be started is tried again, and costs nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tests.support.small_model import SPEC
from worker import app
from worker.app import model_memory, shadowing
from worker.app.shadowing import cast_shadow
from worker.clock import Clock
from worker.device import CPU
from worker.errors import ModelError
from worker.failpoints import Failpoints
from worker.inference.placement import Placement
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.retry import Retry
from worker.runtime.memory import FreeMemory
from worker.settings import Settings, ShadowSettings

BOUND = 10.0
MIB = 2**20


class Attempts:
    """Casts a shadow until it has failed some times."""

    def __init__(self, model: str, failures: int) -> None:
        self.metrics = Metrics()
        self.pauses: list[float] = []
        self._failures = failures
        self._settings = Settings(shadow=ShadowSettings(model=model))

    async def run(
        self, engine: object = None, event: str = "shadow_failed"
    ) -> list[dict[str, Any]]:
        casting = cast_shadow(
            cast("Any", engine),
            self._settings,
            [Placement(CPU, 1)],
            Failpoints(),
            self.metrics,
            attempts=Retry(first=1.0, longest=3.0),
            clock=Clock(sleep=self._sleep),
        )
        with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(BOUND):
                await casting
        return [dict(line) for line in logs if line["event"] == event]

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == self._failures:
            raise asyncio.CancelledError


async def test_a_model_that_is_not_there_is_looked_for_again(tmp_path: Path) -> None:
    attempts = Attempts(str(tmp_path / "none"), 3)
    lines = await attempts.run()
    assert attempts.pauses == [1.0, 2.0, 3.0]
    assert len(lines) == 3
    assert "there is no directory" in lines[0]["error"]
    labels = {"name": str(tmp_path / "none"), "digest": "", "backend": ""}
    assert attempts.metrics.registry.get_sample_value("classify_shadow_up", labels) == 0


async def test_a_defect_is_no_end_either(monkeypatch: pytest.MonkeyPatch) -> None:
    async def defective(*_: object) -> ModelSpec:
        raise ZeroDivisionError

    monkeypatch.setattr(shadowing, "resolve_spec", defective)
    attempts = Attempts("model", 2)
    assert [line["error"] for line in await attempts.run()] == ["ZeroDivisionError"] * 2


@pytest.mark.parametrize("free", [100, 10_000])
async def test_a_model_for_which_there_is_no_memory_is_not_loaded(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tmp_path / "inference.pdiparams"
    params.write_bytes(bytes(1000))
    spec = replace(SPEC, params=params)

    async def resolve(*_: object) -> ModelSpec:
        return spec

    async def start(*_: object) -> None:
        raise ModelError("it is loaded")

    monkeypatch.setattr(shadowing, "resolve_spec", resolve)
    monkeypatch.setattr(shadowing, "_start", start)
    monkeypatch.setattr(model_memory, "free_memory", lambda: FreeMemory(free * MIB))
    none = SimpleNamespace(pids=[])
    identity = SimpleNamespace(backend="paddle+onednn")
    engine = SimpleNamespace(spec=spec, pool=none, images=none, identity=identity)
    (line,) = await Attempts("model", 1).run(engine)
    said = "it is loaded" if free > 1000 else "allow more memory, or lower shadow.share"
    assert said in line["error"]


@pytest.mark.parametrize(
    ("labels", "said"), [(("dog", "fox"), True), (("dog", "cat"), False), ((), False)]
)
async def test_a_model_without_a_class_in_common_is_said_to_have_none(
    labels: tuple[str, ...], said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tmp_path / "inference.pdiparams"
    params.write_bytes(bytes(1000))
    first = replace(SPEC, labels=("cat", "cow", "hen"), params=params)

    async def resolve(*_: object) -> ModelSpec:
        return replace(first, labels=labels, name="another")

    async def start(*_: object) -> None:
        raise ModelError("it is loaded")

    monkeypatch.setattr(shadowing, "resolve_spec", resolve)
    monkeypatch.setattr(shadowing, "_start", start)
    monkeypatch.setattr(model_memory, "free_memory", lambda: FreeMemory(10_000 * MIB))
    identity = SimpleNamespace(backend="paddle+onednn")
    none = SimpleNamespace(pids=[])
    engine = SimpleNamespace(spec=first, pool=none, images=none, identity=identity)
    lines = await Attempts("model", 1).run(engine, "shadow_classes_differ")
    counts = [(line["classes"], line["shadow_classes"], line["shadow"]) for line in lines]
    assert counts == ([(3, 2, "another")] if said else [])


async def test_the_worker_has_its_processes_give_way_to_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Placement] = []

    async def note(_: object, settings: Settings, placements: list[Placement], *__: object) -> None:
        given.extend(placements)

    monkeypatch.setattr(app, "cast_shadow", note)
    worker = app.App(Settings(shadow=ShadowSettings(model="model")), Failpoints())
    await worker._cast_shadow(cast("Any", None))
    assert given
    assert all(placement.idle for placement in given)
