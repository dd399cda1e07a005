"""Signals that stop a worker or have it change its model, and the watchdog that ends it in time.

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
        on_hangup: called in that thread in place of `handler` with a SIGHUP that is a request, as
            operators of services send it. It is none if the terminal of the process has gone.
            None leaves all to `handler`.
    """

    def __init__(self) -> None:
        self.handler: Callable[[signal.Signals], None] = _end_gracefully
        self.on_hangup: Callable[[], None] | None = None
        self._had_terminal = _has_terminal()
        numbers = {signal.SIGTERM, signal.SIGINT}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.add(signal.SIGHUP)
        self._numbers = frozenset(numbers)
        for number in numbers:
            # For a thread that was there before, in which the signal is not blocked.
            signal.signal(number, lambda number, _: self._hear(signal.Signals(number)))
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def _listen(self) -> None:
        while True:
            self._hear(signal.Signals(signal.sigwait(self._numbers)))

    def _hear(self, number: signal.Signals) -> None:
        # A shell sends the signal on to its jobs when its terminal is closed. By then it is gone.
        gone = self._had_terminal and not _has_terminal()
        if number == signal.SIGHUP and self.on_hangup is not None and not gone:
            self.on_hangup()
        else:
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


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal that is there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _end_gracefully(_: signal.Signals) -> None:
    os._exit(0)
