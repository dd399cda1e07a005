"""Says at once what a command is busy with, on a terminal; elsewhere nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console

__all__ = ["Status"]


class Status:
    """A line such as `loading PP-LCNet_x1_0 …`, gone when it is left; a context manager.

    Args:
        what: the line, without its dots.
        console: where it is shown; standard error by default.
    """

    def __init__(self, what: str, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._status = console.status(f"{what} …") if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def say(self, what: str) -> None:
        """Show another line in its place."""
        if self._status is not None:
            self._status.update(f"{what} …")

    def end(self) -> None:
        """Make room for something else, such as the progress of a download."""
        if self._status is not None:
            self._status.stop()
