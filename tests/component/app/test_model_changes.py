"""The model of a running worker is changed: what replaces it, what does not, and what is told."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from tests.support.images import colour_png
from tests.support.networks import COLOURS, export_colours
from worker.app import model_changes, model_memory
from worker.app.model_changes import ModelChanges
from worker.budget import Budget
from worker.contract.jobs import Job, RawImage, Success
from worker.contract.model_changes import ChangeOutcome, ModelChange
from worker.device import CPU
from worker.engine.engine import Engine
from worker.errors import SettingsError
from worker.failpoints import Failpoints
from worker.health import Health
from worker.inference.decoding_beside import decoding_beside
from worker.inference.placement import Placement
from worker.metrics import Metrics
from worker.model import load_model_spec
from worker.model.files import ModelFiles
from worker.runtime.memory import FreeMemory
from worker.settings import BatchingSettings, DecodeSettings, PredictorSettings, Settings

BOUND = 120.0
RED = colour_png("#ff0000")


class Models:
    """Two networks that tell colours apart, and golden images."""

    def __init__(self, base: Path) -> None:
        self.old = self._export(base / "old", "old")
        self.new = self._export(base / "new", "new")
        self.golden = base / "golden"
        for colour, shade in zip(COLOURS, ("#ff0000", "#00ff00", "#0000ff"), strict=True):
            (self.golden / f"new {colour}").mkdir(parents=True)
            (self.golden / f"new {colour}" / "an image.png").write_bytes(colour_png(shade))

    def _export(self, directory: Path, prefix: str) -> Path:
        labels = [f"{prefix} {colour}" for colour in COLOURS]
        return export_colours(directory, "softmax", Topk={"topk": 1, "label_list": labels})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


class Bench:
    """A worker's engine with the old model, and what changes it."""

    def __init__(self, models: Models) -> None:
        self.settings = Settings(
            model_dir=models.old,
            model_check=models.golden,
            model_check_top1=1.0,
            predictor=PredictorSettings(backend="paddle"),
            batching=BatchingSettings(max_batch=2),
            decode=DecodeSettings(processes=1),
        )
        self.metrics = Metrics()
        self.health = Health(BOUND, self.metrics, kafka=False)
        self.engine = Engine(
            load_model_spec(models.old),
            [Placement(CPU, 1)],
            self.settings,
            Failpoints(),
            self.metrics,
        )
        self.read = self.settings
        self.changes = ModelChanges(
            self.engine, self.settings, self.health, self.metrics, lambda: self.read, slots=1
        )
        self._budget = Budget(100, 1 << 30)

    async def answer(self) -> tuple[str, str]:
        """Which model names itself for an image, and what it says that this is."""
        held = self._budget.reserve(0)
        outcome = await self.engine.process(Job(RawImage(RED)), held)
        held.release()
        assert isinstance(outcome, Success)
        assert outcome.model is not None
        return outcome.model.digest, outcome.categories[0].name

    async def change(self, model: Path) -> ModelChange:
        task = self.changes.begin(str(model))
        assert task is not None
        return await task

    def counted(self, outcome: ChangeOutcome) -> float | None:
        return self.metrics.registry.get_sample_value(
            "classify_model_changes_total", {"outcome": outcome.label}
        )


@pytest.fixture
async def bench(models: Models) -> AsyncIterator[Bench]:
    made = Bench(models)
    async with asyncio.timeout(BOUND), AsyncExitStack() as stack:
        await made.engine.start(stack)
        stack.push_async_callback(made.changes.stop)
        yield made


def digest(model: Path) -> str:
    return load_model_spec(model).digest


async def test_jobs_are_answered_by_one_model_or_the_other_while_it_is_changed(
    bench: Bench, models: Models
) -> None:
    answers: list[tuple[str, str]] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        while not done.is_set():
            answers.append(await bench.answer())

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(keep_asking())
        change = await bench.change(models.new)
        assert bench.changes.state.last is change
        answers.append(await bench.answer())
        done.set()
    assert (change.outcome, change.cause) == (ChangeOutcome.CHANGED, "request")
    # It is called like the one before.
    assert change.message.endswith(f" serves from {models.new}")
    assert (change.former.digest, change.serving.digest) == (digest(models.old), digest(models.new))
    assert change.check is not None
    assert (change.check.images, change.check.right) == (3, 3)
    both = {(digest(models.old), "old red"), (digest(models.new), "new red")}
    assert set(answers) == both
    assert answers[-1] == (digest(models.new), "new red")
    assert len(bench.engine.pids) == 1
    assert bench.counted(ChangeOutcome.CHANGED) == 1
    assert bench.changes.state.wanted is None
    assert bench.health.changing == ""


async def test_whatever_is_wrong_with_the_new_model_the_old_one_serves_on(
    bench: Bench, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, series = bench.engine.pids, bench.metrics.render().count("sha256:")
    broken = Path(shutil.copytree(models.new, tmp_path / "broken"))
    (broken / "inference.json").write_bytes(b"{}")
    cut = Path(shutil.copytree(models.new, tmp_path / "cut"))
    (cut / "inference.pdiparams").write_bytes((cut / "inference.pdiparams").read_bytes()[:20])
    wrong = tmp_path / "wrong"
    labels = ["new blue", "new red", "new green"]
    export_colours(wrong, "softmax", Topk={"topk": 1, "label_list": labels})
    for model, outcome, said in [
        (tmp_path / "none", ChangeOutcome.BAD_MODEL, "none"),
        (cut, ChangeOutcome.BAD_MODEL, "cut off or damaged"),
        (broken, ChangeOutcome.BAD_MODEL, "inference.json"),
        (wrong, ChangeOutcome.CHECK_FAILED, "0 of 3 golden images are right"),
        (models.old, ChangeOutcome.UNCHANGED, "serves already"),
    ]:
        change = await bench.change(model)
        assert (change.outcome, change.wanted) == (outcome, str(model)), change.message
        assert said in change.message
        assert change.serving.digest == digest(models.old)
        assert await bench.answer() == (digest(models.old), "old red")
        assert bench.engine.pids == before
    free = FreeMemory(10 << 20, 2 << 30)
    monkeypatch.setattr(model_memory, "free_memory", lambda: free)
    change = await bench.change(models.new)
    assert change.outcome is ChangeOutcome.NO_MEMORY
    assert "10 MiB are free within this container's limit of 2048 MiB" in change.message
    assert bench.counted(ChangeOutcome.BAD_MODEL) == 3
    assert bench.metrics.render().count("sha256:") <= series + 10, "none of them has series"


async def test_neither_files_that_change_meanwhile_nor_an_end_leave_anything_behind(
    bench: Bench, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(models.new, tmp_path / "copy"))
    check = ModelFiles.check

    def write_then_check(self: ModelFiles, *, thoroughly: bool = False) -> None:
        if thoroughly:
            (copy / "inference.json").write_bytes(b"{ }")
        check(self, thoroughly=thoroughly)

    before = bench.engine.pids
    monkeypatch.setattr(ModelFiles, "check", write_then_check)
    change = await bench.change(copy)
    assert change.outcome is ChangeOutcome.BAD_MODEL
    assert "no longer those" in change.message
    assert await bench.answer() == (digest(models.old), "old red")

    # A worker that stops ends a change in whatever it is doing.
    task = bench.changes.begin(str(models.new))
    assert task is not None
    while not bench.health.changing.startswith("loading"):
        await asyncio.wait((task,), timeout=0.01)
        assert not task.done()
    await bench.changes.stop()
    assert task.cancelled()
    assert bench.engine.pids == before
    assert bench.changes.begin(str(models.new)) is None
    assert await bench.answer() == (digest(models.old), "old red")


async def test_a_reload_goes_by_the_settings_as_they_are_now(
    bench: Bench, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_changes, "DRAIN", BOUND)
    assert (await bench.changes.reload("signal")).outcome is ChangeOutcome.UNCHANGED

    def unreadable() -> Settings:
        raise SettingsError("worker.yaml:3: no such setting")

    bench.changes._reread = unreadable
    failed = await bench.changes.reload("signal")
    assert failed.outcome is ChangeOutcome.BAD_SETTINGS
    assert failed.message == "worker.yaml:3: no such setting"
    bench.changes._reread = lambda: bench.settings.model_copy(update={"model_dir": models.new})
    # A reload waits for the change before it, and a request does not.
    first = asyncio.create_task(bench.changes.reload("watch"))
    second = asyncio.create_task(bench.changes.reload("signal"))
    # Both have begun when this goes on: the event loop takes turns.
    await asyncio.sleep(0)
    assert bench.changes.begin("another") is None
    assert (await first).outcome is ChangeOutcome.CHANGED
    assert (await second).outcome is ChangeOutcome.UNCHANGED
    assert await bench.answer() == (digest(models.new), "new red")


async def test_a_new_model_is_measured_without_decoding_beside_the_one_that_serves(
    bench: Bench, models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Where nothing was measured before.
    monkeypatch.setenv("CLASSIFY_WORKER_CACHE", str(tmp_path))
    asked: list[int] = []

    def note(count: int) -> AbstractAsyncContextManager[Sequence[int]]:
        asked.append(count)
        return decoding_beside(count)

    monkeypatch.setattr("worker.inference.pool_calibration.decoding_beside", note)
    assert (await bench.change(models.new)).outcome is ChangeOutcome.CHANGED
    assert asked == [0]
