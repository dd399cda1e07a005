"""Says on a terminal what a change of the model is doing, while its end is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape

from worker.cli.model_request import NoAnswerError, request
from worker.cli.rows import printable
from worker.cli.status import Status

if TYPE_CHECKING:
    from worker.cli.model_request import Answer
    from worker.top.scrape import Address

__all__ = ["Steps", "follow"]

PAUSE = 0.5
"""Seconds between two questions."""

TIMEOUT = 5.0
"""Seconds for an answer to one."""


class Steps:
    """A line on standard error with the step under way; a context manager. Elsewhere, nothing.

    Args:
        address: of the worker.
        wanted: the model that it changes to.
    """

    def __init__(self, address: Address, wanted: str) -> None:
        console = Console(stderr=True)
        self._status = Status(f"changing to {_shown(PurePath(wanted).name)}", console)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if console.is_terminal:
            # A daemon: nobody waits for its last question.
            self._thread = threading.Thread(
                target=follow,
                args=(lambda: request(address, None, TIMEOUT), self._say, self._ended, PAUSE),
                daemon=True,
            )

    def __enter__(self) -> Self:
        self._status.__enter__()
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._status.end()

    def _say(self, step: str) -> None:
        self._status.say(_shown(step))


def follow(
    ask: Callable[[], Answer], say: Callable[[str], None], ended: threading.Event, pause: float
) -> None:
    """Ask a worker again and again what its change is doing, until `ended` is set.

    Args:
        ask: which model it serves; a worker that does not answer is asked again.
        say: takes each step.
        pause: seconds between two questions.
    """
    while not ended.wait(pause):
        try:
            change = (ask().result or {}).get("change")
        except NoAnswerError:
            continue
        if isinstance(change, dict) and not ended.is_set():
            say(str(change.get("step", "")))


def _shown(text: str) -> str:
    # Whatever answers at the address has made it up.
    return escape(printable(text))
