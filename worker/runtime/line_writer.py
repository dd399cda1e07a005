"""Writes log lines, so that logging never waits for a slow reader of the log."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import accumulate

__all__ = ["MAX_BYTES", "LineWriter"]

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of lines that wait to be written; beyond it lines are dropped."""

PATIENCE = 1.0
"""Seconds without any progress after which lines that wait are given up at the end."""

_CHUNK = 64 * 1024


class LineWriter:
    """A bounded queue of lines, and a thread that writes them to a descriptor in their order.

    A reader that has stopped (a full pipe), or has gone, costs lines and nothing else. When lines
    can be written again, the first one says how many are missing there.

    Args:
        descriptor: where lines go; it stays the caller's, who must not close it.
        notice: makes the line, with its end, that says how many were dropped.
        limit: bytes that may wait.

    Attributes:
        on_drop: called with the number of lines dropped, in any thread, as it happens.
        dropped: lines dropped so far.
    """

    def __init__(
        self, descriptor: int, notice: Callable[[int], str], limit: int = MAX_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._limit = limit
        self.on_drop: Callable[[int], None] = lambda _: None
        self.dropped = 0
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        # Invariant: bytes of `_lines` and of what is being written now.
        self._held = 0
        # Invariant: lines dropped that no notice has reported yet.
        self._untold = 0
        self._failing = False
        # Whether the last write ended within a line: the next line then begins with a line break.
        self._torn = False
        self._progress = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def put(self, line: str) -> None:
        """Queue a line, which holds its own end, or drop it; never waits."""
        data = line.encode(errors="backslashreplace")
        with self._changed:
            full = bool(self._held) and self._held + len(data) > self._limit
            if full:
                self._untold += 1
                self.dropped += 1
            else:
                if self._untold:
                    self._append(self._notice(self._untold).encode())
                    self._untold = 0
                self._append(data)
                self._changed.notify_all()
        if full:
            self.on_drop(1)

    def flush(self, timeout: float) -> bool:
        """Wait until all lines are out, as long as there is progress.

        Args:
            timeout: seconds, in all.

        Returns:
            Whether all are out.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._held or (self._untold and not self._failing):
                moved = partial(self._moved_since, self._progress)
                wait = min(PATIENCE, deadline - time.monotonic())
                if wait <= 0 or not self._changed.wait_for(moved, wait):
                    return False
        return True

    def _append(self, data: bytes) -> None:
        self._lines.append(data)
        self._held += len(data)

    def _run(self) -> None:
        while True:
            lines = self._take()
            written = self._write(b"".join(lines))
            ends = accumulate(map(len, lines))
            lost = sum(end > written for end in ends)
            with self._changed:
                self._held -= sum(map(len, lines))
                self._failing = lost > 0
                self._untold += lost
                self.dropped += lost
                self._move()
            if lost:
                self.on_drop(lost)

    def _take(self) -> list[bytes]:
        """Wait for the next lines to write."""
        with self._changed:
            while not self._lines and (self._failing or not self._untold):
                self._changed.wait()
            if not self._lines:
                # Dropped while the queue was full, and nothing has been logged since.
                self._append(self._notice(self._untold).encode())
                self._untold = 0
            taken: list[bytes] = []
            size = 0
            while self._lines and size < _CHUNK:
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            return taken

    def _write(self, data: bytes) -> int:
        """Write it all, however long that takes.

        Returns:
            How many bytes were written before the stream failed, if it did.
        """
        if self._torn:
            data = b"\n" + data
        written = 0
        while written < len(data):
            try:
                written += os.write(self._descriptor, data[written:])
            except BlockingIOError:
                # The parent process shares the flag, so that it cannot be cleared.
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll()
            except OSError:
                # The reader has gone, or the disk is full; the next line may get through.
                break
            with self._changed:
                self._move()
        own = written - self._torn
        self._torn = data[written - 1 : written] != b"\n" if written else self._torn
        return own

    def _moved_since(self, before: int) -> bool:
        return self._progress != before

    def _move(self) -> None:
        self._progress += 1
        self._changed.notify_all()
