"""Bounds one request in time, from its connection to its last byte."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

from worker.images.fetch_errors import TooSlowError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Body", "Watch"]

EARLY = 0.001
"""Seconds by which a timer may ring early: uvloop's count milliseconds."""


class Body(Protocol):
    """What a request receives.

    Attributes:
        total_bytes: how much has come so far.
    """

    total_bytes: int


class Watch:
    """Ends a block that takes too long, or that receives too little; a context manager.

    There are several bounds and one timer, which looks at them when it rings. Nearly all requests
    have ended before; a timer for each bound (`asyncio.timeout`) is set and cancelled for each.

    Args:
        end: loop time at which the block must have ended.
        head: seconds until `receive` must have been called; None leaves that to `end`.
        window: seconds over which the body's speed is an average.
        least: bytes that must arrive in each window.
    """

    def __init__(self, end: float, head: float | None, window: float, least: float) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._end = end
        self._window, self._least = window, least
        # Of the head, until `receive` is called.
        self._bound = math.inf if head is None else now + head
        self._body: Body | None = None
        self._before = 0
        self._failure: TimeoutError | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        # Those that somebody else has asked for.
        self._cancelling = task.cancelling()
        self._timer = self._loop.call_at(self._next(self._loop.time()), self._look)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        # As `asyncio.timeout` does: what another one has cancelled stays cancelled.
        if (
            self._failure is not None
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise self._failure from error

    def receive(self, body: Body) -> None:
        """Watch the body from now on: the head has come."""
        self._body = body
        self._bound = self._loop.time() + self._window

    def _look(self) -> None:
        """See whether a bound has been reached, and come back when the next one will be."""
        now = self._loop.time() + EARLY
        if now >= self._end or (self._body is None and now >= self._bound):
            self._fail(TimeoutError())
            return
        if self._body is not None and now >= self._bound:
            received = self._body.total_bytes
            if received - self._before < self._least:
                self._fail(TooSlowError())
                return
            self._before, self._bound = received, now + self._window
        self._timer = self._loop.call_at(self._next(now), self._look)

    def _next(self, now: float) -> float:
        """When to look again."""
        bound = min(self._end, self._bound)
        # The body's first window ends no earlier than that, so `receive` need not set the timer.
        return bound if self._body is not None else min(bound, now + self._window)

    def _fail(self, failure: TimeoutError) -> None:
        self._failure = failure
        self._task.cancel()
