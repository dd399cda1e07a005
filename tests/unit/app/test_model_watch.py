"""A directory that is watched: what is new there is told once it is whole, and once only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.app import model_watch
from worker.app.model_watch import PATIENCE, ModelWatch, Seen, look
from worker.clock import Clock

BOUND = 20.0


def write(directory: Path, text: str, *names: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name in names or ("inference.json", "inference.pdiparams", "inference.yml"):
        (directory / name).write_text(text, "ascii")
    return directory


class Watched:
    """A watch whose looks follow a script: what is done before each, without any time."""

    def __init__(self, directory: Path | None, *steps: Callable[[], object]) -> None:
        self.changes = 0
        self._steps = iter(steps)
        self._done = asyncio.Event()
        self.directory = directory
        self._watch = ModelWatch(lambda: self.directory, self._changed, Clock(sleep=self._sleep))

    async def run(self) -> int:
        """How often it told of another model until the script was done."""
        await self._watch.begin()
        watching = asyncio.create_task(self._watch.run())
        async with asyncio.timeout(BOUND):
            await self._done.wait()
        watching.cancel()
        return self.changes

    async def _changed(self) -> None:
        self.changes += 1

    async def _sleep(self, seconds: float) -> None:
        step = next(self._steps, None)
        if step is None:
            self._done.set()
            await asyncio.Event().wait()
        else:
            step()


def nothing() -> None: ...


@pytest.fixture(autouse=True)
def _whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is whole here when none of its files is empty."""

    def whole(seen: Seen) -> bool:
        return all(size for _, _, size, _ in seen[1])

    monkeypatch.setattr(model_watch, "_is_whole", whole)


async def test_what_was_there_from_the_beginning_is_not_new(tmp_path: Path) -> None:
    model = write(tmp_path / "model", "old")
    assert await Watched(model, nothing, nothing, nothing).run() == 0


async def test_another_model_is_told_once_and_only_after_a_look_without_a_change(
    tmp_path: Path,
) -> None:
    model = write(tmp_path / "model", "old")
    seen: list[int] = []
    watched = Watched(
        model,
        lambda: write(model, "newer"),
        lambda: seen.append(watched.changes),
        lambda: seen.append(watched.changes),
        nothing,
    )
    assert await watched.run() == 1
    assert seen == [0, 1], "the first look after the change might be in the middle of it"


async def test_while_it_is_written_to_nothing_is_told(tmp_path: Path) -> None:
    model = write(tmp_path / "model", "old")
    steps = [lambda size=size: write(model, "n" * size, "inference.pdiparams") for size in range(9)]
    assert await Watched(model, *steps).run() == 0


async def test_a_file_of_a_copy_that_goes_on_beside_the_others_counts(tmp_path: Path) -> None:
    model = write(tmp_path / "model", "old")
    steps = [lambda size=size: write(model, "n" * size, ".params.tmp") for size in range(1, 9)]
    assert await Watched(model, lambda: write(model, "new", "inference.json"), *steps).run() == 0


async def test_what_is_not_whole_is_waited_for(tmp_path: Path) -> None:
    model = write(tmp_path / "model", "old")
    watched = Watched(
        model,
        lambda: write(model, "", "inference.pdiparams"),
        nothing,
        nothing,
        lambda: write(model, "new", "inference.pdiparams"),
        nothing,
    )
    assert await watched.run() == 1


async def test_what_is_not_whole_for_long_is_told_to_have_its_fault_named(tmp_path: Path) -> None:
    model = write(tmp_path / "model", "old")
    broken = [lambda: write(model, "", "inference.pdiparams"), *[nothing] * (PATIENCE + 3)]
    assert await Watched(model, *broken).run() == 1


async def test_a_link_that_leads_elsewhere_is_another_model(tmp_path: Path) -> None:
    old, new = write(tmp_path / "v1", "one"), write(tmp_path / "v2", "two")
    link = tmp_path / "current"
    link.symlink_to(old)

    def switch() -> None:
        (tmp_path / "next").symlink_to(new)
        (tmp_path / "next").replace(link)

    assert await Watched(link, nothing, switch, nothing, nothing).run() == 1


async def test_a_directory_that_comes_late_is_another_model(tmp_path: Path) -> None:
    late = tmp_path / "model"
    watched = Watched(late, nothing, lambda: write(late, "new"), nothing)
    assert await watched.run() == 1
    watched = Watched(None, nothing, nothing)
    assert await watched.run() == 0


def test_a_trainings_output_is_looked_at_where_its_model_is(tmp_path: Path) -> None:
    (tmp_path / "best_model").mkdir()
    write(tmp_path / "best_model" / "inference", "x")
    seen = look(tmp_path)
    assert seen is not None
    assert seen[0].endswith("best_model/inference")
    assert look(tmp_path / "none") is None
