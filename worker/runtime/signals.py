"""Signals that stop a worker, and the watchdog that ends it in time.

Both are threads of their own: an event loop that is held up hears nothing, and keeps no deadline.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

__all__ = ["StopSignals", "Watchdog"]

GRACE = 1.0
"""Seconds that the watchdog's thread has, before the kernel ends a process where no thread runs."""


class StopSignals:
    """SIGTERM, SIGINT and SIGHUP, heard by a thread from now on.

    Made in the main thread, before there are others: they are blocked in this thread and in all
    that it starts (and in their children), so that no system call is ever interrupted by one.
    SIGHUP is left alone where it is ignored, as under `nohup`.

    Attributes:
        handler: called with each signal, in that thread. Until somebody sets it, a signal ends the
            process in order: nothing is begun yet that must be ended.
    """

    def __init__(self) -> None:
        self.handler: Callable[[signal.Signals], None] = _end_gracefully
        numbers = {signal.SIGTERM, signal.SIGINT}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.add(signal.SIGHUP)
        self._numbers = frozenset(numbers)
        for number in numbers:
            # For a thread that was there before, in which the signal is not blocked.
            signal.signal(number, lambda number, _: self.handler(signal.Signals(number)))
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def _listen(self) -> None:
        while True:
            number = signal.Signals(signal.sigwait(self._numbers))
            self.handler(number)


class Watchdog:
    """Ends the process some time after it is armed, whatever the rest of the process does.

    Its thread is there from the beginning: a process at its limit of threads could start none.

    Args:
        end: ends the process; called in that thread. It must wait for nothing.
    """

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._seconds = 0.0
        self._armed = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def arm(self, seconds: float) -> None:
        """End the process after so many seconds from now; once only."""
        # Where a library holds the GIL, or the interpreter shuts down, no thread runs any more. The
        # kernel's timer still does: SIGALRM, which has no handler, ends the process.
        signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
        self._seconds = seconds
        self._armed.set()

    def _watch(self) -> None:
        self._armed.wait()
        time.sleep(self._seconds)
        self._end()


def _end_gracefully(_: signal.Signals) -> None:
    os._exit(0)
