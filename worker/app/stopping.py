"""What a signal does to a running worker, even while its event loop is blocked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence

import structlog

from worker import logs
from worker.clock import SYSTEM_CLOCK, Clock
from worker.runtime.signals import Watchdog

__all__ = ["Stopper"]

LAST_LINES = 0.2
"""Seconds to write pending log lines when the process is ended at once."""

ECHO = 0.01
"""Seconds after the first signal in which another is taken for the same: `timeout` signals its
child and, at the same moment, its whole group. A person is slower."""

log = structlog.get_logger(__name__)


class Stopper:
    """Stops a worker gracefully at the first signal, and at once at a later one.

    A signal that comes within `ECHO` of the first one counts as the same.

    Args:
        begin: stops it gracefully; called in `loop`.
        loop: the worker's.
        deadline: seconds from the first signal to the process's end.
        predictors: the processes that must not outlive it.
        stopped: whether it has stopped gracefully, and only the process is left to end.
        clock: tells an echo from a second signal.
    """

    def __init__(
        self,
        begin: Callable[[signal.Signals], None],
        loop: asyncio.AbstractEventLoop,
        deadline: float,
        predictors: Callable[[], Sequence[int]],
        stopped: Callable[[], bool],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._begin = begin
        self._loop = loop
        self._deadline = deadline
        self._predictors = predictors
        self._stopped = stopped
        self._clock = clock
        self._told: float | None = None
        self._watchdog = Watchdog(self._overdue)

    def hear(self, number: signal.Signals) -> None:
        """Handle a signal; called by the thread that receives signals."""
        now = self._clock.monotonic()
        if self._told is not None:
            if now - self._told < ECHO:
                return
            self._kill_predictors()
            log.warning("stopped_at_once", signal=number.name)
            _end_process(128 + number)
        self._told = now
        # First, and in a thread: a blocked event loop, or a library's thread that never returns
        # (its name server is silent, say), would otherwise keep the process running beyond its
        # deadline, until the orchestrator sends SIGKILL.
        self._watchdog.arm(max(0.0, self._deadline - LAST_LINES))
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is ending already
            self._loop.call_soon_threadsafe(self._begin, number)

    def _overdue(self) -> None:
        # Log nothing: a blocked log may be what everything waits for.
        self._kill_predictors()
        _end_process(0 if self._stopped() else 1)

    def _kill_predictors(self) -> None:
        for pid in self._predictors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _end_process(status: int) -> None:
    logs.flush(LAST_LINES)
    os._exit(status)
