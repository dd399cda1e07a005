"""Which backend `auto` takes: by what was kept, by measuring, by what another worker found."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog

from worker.clock import Clock
from worker.device import CPU
from worker.errors import ModelError, PredictorCrashedError
from worker.inference.placement import Placement
from worker.inference.protocol import BackendName
from worker.inference.selection import BackendSelection, SelectionStep
from worker.inference.selection_cache import MEASUREMENTS, SelectionCache, SelectionRecord
from worker.inference.trials import Trial

BACKENDS: tuple[BackendName, ...] = ("paddle", "onnxruntime")
PATIENCE = 100.0


def trials(paddle: float, onnxruntime: float, taken: float = 0.0) -> tuple[Trial, ...]:
    return (Trial("paddle", paddle, taken=taken), Trial("onnxruntime", onnxruntime))


class Worker:
    """A worker that selects a backend; its measurements come out as the test says.

    Attributes:
        outcomes: of the measurements to come.
        measured: how many it has made.
        fails: what loading a backend raises.
        steps: that it was told of.
        elsewhere: called when it waits: what other workers do meanwhile.
    """

    def __init__(self, directory: Path, *outcomes: tuple[Trial, ...]) -> None:
        self.cache = SelectionCache(directory, "sha256:1", [Placement(CPU, 1)], 1, 0, BACKENDS)
        self.outcomes = list(outcomes)
        self.measured = 0
        self.fails: dict[BackendName, Exception] = {}
        self.steps: list[SelectionStep] = []
        self.now = 0.0
        self.waits = 0

    async def load(self, backend: BackendName) -> None:
        if error := self.fails.get(backend):
            raise error

    async def measure(self) -> list[Trial]:
        self.measured += 1
        return list(self.outcomes.pop(0))

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits += 1
        self.elsewhere()

    def elsewhere(self) -> None:
        pass

    def selection(self) -> BackendSelection:
        clock = Clock(lambda: self.now, sleep=self.sleep)
        return BackendSelection(
            self.cache,
            BACKENDS,
            self.load,
            self.measure,
            PATIENCE,
            lambda step, _: self.steps.append(step),
            clock,
        )

    async def select(self) -> BackendName:
        return await self.selection().select()


async def test_it_measures_once_and_takes_the_fastest(tmp_path: Path) -> None:
    first = Worker(tmp_path, trials(100, 150))
    assert await first.select() == "onnxruntime"
    assert first.steps == [SelectionStep.MEASURING, SelectionStep.DONE]
    later = Worker(tmp_path)
    assert await later.select() == "onnxruntime"
    assert (later.measured, later.steps) == (0, [])


@pytest.mark.parametrize("taken", [0.0, 0.9])
async def test_what_was_selected_before_is_taken_without_measuring(
    tmp_path: Path, taken: float
) -> None:
    later = Worker(tmp_path)
    assert await later.selection().reuse() is None
    await Worker(tmp_path, trials(100, 150, taken)).select()
    assert await later.selection().reuse() == "onnxruntime", "in doubt or not"
    later.fails["onnxruntime"] = ModelError("it is not installed any more")
    assert await later.selection().reuse() is None
    assert (later.measured, later.steps) == (0, [])


async def test_the_table_is_logged_by_each_start(tmp_path: Path) -> None:
    for from_cache in (False, True):
        with structlog.testing.capture_logs() as logged:
            await Worker(tmp_path, trials(100, 150, taken=0.04)).select()
        rows = [each for each in logged if each["event"] == "backend_measured"]
        assert [
            (
                row["backend"],
                row["images_per_second"],
                row["chosen"],
                row["cores_taken_by_others"],
                row["from_cache"],
            )
            for row in rows
        ] == [
            ("paddle", 100, False, 0.04, from_cache),
            ("onnxruntime", 150, True, 0.0, from_cache),
        ]
        assert "selection_in_doubt" not in {each["event"] for each in logged}


async def test_what_was_measured_beside_other_load_is_measured_again_by_the_next_start(
    tmp_path: Path,
) -> None:
    with structlog.testing.capture_logs() as logged:
        assert await Worker(tmp_path, trials(100, 60, taken=0.5)).select() == "paddle"
    (doubt,) = (each for each in logged if each["event"] == "selection_in_doubt")
    assert doubt["reason"] == "other programs had 50% of the cores"
    assert doubt["next"] == "the next start measures again"
    quiet = Worker(tmp_path, trials(100, 150))
    assert await quiet.select() == "onnxruntime"
    assert quiet.measured == 1
    later = Worker(tmp_path)
    assert await later.select() == "onnxruntime"


async def test_on_a_machine_that_is_never_quiet_a_few_starts_measure(tmp_path: Path) -> None:
    for taken in (0.5, 0.2, 0.9)[:MEASUREMENTS]:
        worker = Worker(tmp_path, trials(100, 60 if taken > 0.2 else 150, taken=taken))
        await worker.select()
        assert worker.measured == 1
    with structlog.testing.capture_logs() as logged:
        later = Worker(tmp_path)
        assert await later.select() == "onnxruntime", "as the least disturbed one found"
    assert later.measured == 0
    (doubt,) = (each for each in logged if each["event"] == "selection_in_doubt")
    assert (doubt["measurements"], doubt["next"]) == (MEASUREMENTS, "kept")


@pytest.mark.parametrize("error", [ModelError("refused"), PredictorCrashedError("it died")])
async def test_a_kept_one_that_cannot_be_loaded_any_more_is_measured_anew(
    tmp_path: Path, error: Exception
) -> None:
    await Worker(tmp_path, trials(100, 150)).select()
    worker = Worker(tmp_path, trials(100, 90))
    worker.fails["onnxruntime"] = error
    with structlog.testing.capture_logs() as logged:
        assert await worker.select() == "paddle"
    (failed,) = (each for each in logged if each["event"] == "backend_failed")
    assert (failed["backend"], failed["error"]) == ("onnxruntime", str(error))


async def test_while_another_worker_measures_it_waits_and_takes_what_that_found(
    tmp_path: Path,
) -> None:
    other = Worker(tmp_path)
    turn = other.cache.turn()
    turn.__enter__()
    worker = Worker(tmp_path)

    def measured_elsewhere() -> None:
        if worker.waits == 3:
            other.cache.write(SelectionRecord(trials(100, 150)))
            turn.__exit__(None, None, None)

    worker.elsewhere = measured_elsewhere  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as logged:
        assert await worker.select() == "onnxruntime"
    assert worker.measured == 0
    assert worker.steps == [SelectionStep.WAITING, SelectionStep.DONE]
    assert [each["event"] for each in logged].count("waiting_for_measurement") == 1


async def test_a_worker_that_died_while_it_measured_is_succeeded(tmp_path: Path) -> None:
    turn = Worker(tmp_path).cache.turn()
    turn.__enter__()
    worker = Worker(tmp_path, trials(100, 150))

    def dies() -> None:
        turn.__exit__(None, None, None)

    worker.elsewhere = dies  # type: ignore[method-assign]
    assert await worker.select() == "onnxruntime"
    assert worker.measured == 1


async def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    worker = Worker(tmp_path, trials(100, 150))
    with Worker(tmp_path).cache.turn():
        assert await worker.select() == "onnxruntime"
    assert PATIENCE <= worker.now < PATIENCE + 1
    assert worker.measured == 1


async def test_a_doubtful_record_that_another_worker_has_improved_is_taken(tmp_path: Path) -> None:
    await Worker(tmp_path, trials(100, 60, taken=0.5)).select()
    turn = Worker(tmp_path).cache.turn()
    turn.__enter__()
    worker = Worker(tmp_path)

    def improved_elsewhere() -> None:
        worker.cache.write(SelectionRecord(trials(100, 150, taken=0.3), 2))
        turn.__exit__(None, None, None)

    worker.elsewhere = improved_elsewhere  # type: ignore[method-assign]
    assert await worker.select() == "onnxruntime"
    assert worker.measured == 0


async def test_one_that_is_told_to_stop_while_it_measures_leaves_the_turn_to_others(
    tmp_path: Path,
) -> None:
    stopped, other = Worker(tmp_path), Worker(tmp_path, trials(100, 150))

    async def never() -> list[Trial]:
        begun.set()
        await asyncio.Event().wait()
        return []

    begun = asyncio.Event()
    stopped.measure = never  # type: ignore[method-assign]
    selecting = asyncio.create_task(stopped.select())
    await begun.wait()
    selecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await selecting
    assert stopped.steps == [SelectionStep.MEASURING], "nothing follows that would be waited for"
    assert await other.select() == "onnxruntime"
    assert other.steps == [SelectionStep.MEASURING, SelectionStep.DONE]


async def test_without_a_directory_it_measures_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    worker = Worker(tmp_path / "file", trials(100, 150), trials(100, 90))
    assert await worker.select() == "onnxruntime"
    assert await worker.select() == "paddle"
