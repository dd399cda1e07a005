"""What `train` shows: a bar with loss and accuracy, and at the end what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from worker.cli.rows import printable

__all__ = ["TrainReport"]

MOST_NAMED = 10
"""Images that cannot be read and are named here; `train_result.json` names all."""

LINES = 10
"""Lines for each phase where there is no terminal."""


class TrainReport:
    """Shows a training's progress on standard error; a `Reporter`, and a context manager.

    On a terminal a bar for what is being done; elsewhere some lines.

    Args:
        console: where it is shown; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None
        self._name = ""
        self._tenths = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, what: str) -> None:
        """See `worker.training.reporting`."""
        self._end_bar()
        if not self._console.is_terminal:
            self._line(f"{what} ...")
        else:
            self._task = self._progress.add_task(f"{what} …", total=None, figures="")

    def note(self, fact: str) -> None:
        """See `worker.training.reporting`."""
        self._line(printable(f"classify-worker: {fact}"))

    def downloading(self, name: str) -> Callable[[int, int | None], None]:
        """Show the download of a model.

        Returns:
            A function to call with the bytes that are here, and those in all.
        """

        def update(have: int, total: int | None) -> None:
            mebibytes = f"{have / 2**20:.1f} MiB"
            self._show(f"downloading {name}", have, total or have + 1, mebibytes)

        return update

    def reading(self, done: int, total: int, skipped: int) -> None:
        """See `worker.training.reporting`."""
        figures = f"{done}/{total}" + (f", {skipped} unreadable" if skipped else "")
        self._show("images", done, total, figures)

    def step(self, facts: Mapping[str, Any]) -> None:
        """See `worker.training.reporting`."""
        done = (facts["epoch"] - 1) * facts["steps"] + facts["step"]
        figures = f"epoch {facts['epoch']}/{facts['epochs']}  {_figures(facts)}"
        self._show(facts["phase"], done, facts["steps"] * facts["epochs"], figures, lines=False)

    def epoch(self, facts: Mapping[str, Any], epochs: int) -> None:
        """See `worker.training.reporting`."""
        done = facts["epoch"]
        val = f"val loss {facts['val_loss']:.4f}  val top-1 {facts['val_top1']:.4f}"
        self._show(facts["phase"], done, epochs, f"epoch {done}/{epochs}  {_figures(facts)}  {val}")

    def summarise(self, result: Mapping[str, Any], output: Path) -> None:
        """Write what came out to standard output."""
        out = Console(highlight=False, soft_wrap=True, markup=False)
        skipped = result["data"]["skipped"]
        for each in skipped[:MOST_NAMED]:
            self._line(printable(f"left out: {each['name']}: {each['message']}"))
        if len(skipped) > MOST_NAMED:
            self._line(f"left out: {len(skipped) - MOST_NAMED} more, see train_result.json")
        images = result["data"]["images"]
        counted = ", ".join(f"{count} {name}" for name, count in images.items())
        out.print(printable(f"model     {output / result['model']['directory']}"))
        out.print(f"digest    {result['model']['digest']}")
        out.print(f"classes   {len(result['classes'])}")
        out.print(f"images    {counted}; {len(skipped)} left out")
        best = result["best"]
        # Where there is nothing to choose by, it is chosen by what was trained with.
        judged = "val" if images["val"] else "train"
        out.print(f"{judged:<9} top-1 {best['top1']:.4f}, {best['phase']} epoch {best['epoch']}")
        made = result[best["phase"]]
        if "test_top1" in made:
            before = result["before"].get("test_top1")
            since = "" if before is None else f"; with its new layer untrained {before:.4f}"
            out.print(f"test      top-1 {made['test_top1']:.4f} on the images to test with{since}")
        network = result.get("network")
        if network is not None and not network["is_best"]:
            out.print("network   no better than its head alone, which is best_model")
        out.print(printable(f"curve     {output / 'curve.svg'}"))

    def _show(self, name: str, done: int, total: int, figures: str, *, lines: bool = True) -> None:
        if self._name != name:
            self._end_bar()
            self._name = name
            self._task = self._progress.add_task(name, total=total, figures=figures)
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total, figures=figures)
        tenths = LINES * done // total
        if lines and tenths > self._tenths:
            self._tenths = tenths
            if not self._console.is_terminal:
                self._line(f"{name}: {figures}")

    def _end_bar(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task, self._name, self._tenths = None, "", 0

    def _line(self, text: str) -> None:
        self._console.out(text, highlight=False)


def _figures(facts: Mapping[str, Any]) -> str:
    return f"loss {facts['loss']:.4f}  top-1 {facts['top1']:.4f}"
