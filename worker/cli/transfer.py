"""What `models pull` shows while models are downloaded."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.errors import ModelError
    from worker.zoo.pull import Pulled

__all__ = ["Transfer"]


class Transfer:
    """Shows a bar for the current download, and a line for each that succeeded or failed.

    A context manager; the bars are shown on terminals alone.

    Args:
        total: number of models.
        console: where it is shown; standard error by default.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._total = total
        self._count = 0

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

    def of(self, name: str) -> Callable[[int, int | None], None]:
        """Begin with the next model.

        Returns:
            A function to call with the bytes that are here, and those in all.
        """
        self._count += 1
        task = self._progress.add_task(f"[{self._count}/{self._total}] {name}", total=None)

        def update(have: int, total: int | None) -> None:
            self._progress.update(task, completed=have, total=total)

        return update

    def done(self, name: str, pulled: Pulled) -> None:
        """Say that a model is here."""
        self._clear()
        if pulled.sha256 is None:
            self._say(f"{name}: already in {pulled.directory}")
        else:
            verified = "verified" if pulled.known else "recorded"
            self._say(f"{name}: in {pulled.directory} (sha256 {pulled.sha256} {verified})")

    def failed(self, name: str, error: ModelError) -> None:
        """Say why a model is not."""
        self._clear()
        self._say(f"{name}: {error}")

    def _clear(self) -> None:
        for task in self._progress.task_ids:
            self._progress.remove_task(task)

    def _say(self, line: str) -> None:
        self._console.out(line, highlight=False)
