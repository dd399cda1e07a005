"""A command on a terminal of its own, as the person before it sees it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

__all__ = ["Terminal"]

BOUND = 120.0
"""Seconds after which something that must be shown counts as never shown."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs `classify-worker ARGUMENTS` on a terminal; a context manager that ends it.

    Args:
        environ: added to this process's environment, whose `WORKER_` variables it does not get.
        columns: width of the terminal.
        lines: its height.
    """

    def __init__(
        self, *arguments: str, environ: Mapping[str, str], columns: int = 80, lines: int = 40
    ) -> None:
        self._end, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._modes = termios.tcgetattr(self._end)
        inherited = {
            name: value
            for name, value in os.environ.items()
            # Another terminal's width would win over this one's.
            if not name.startswith("WORKER_") and name not in ("COLUMNS", "LINES")
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker", *arguments],
            env=inherited | {"TERM": "xterm"} | dict(environ),
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)
        self._shown = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    @property
    def text(self) -> str:
        """What was shown so far, without colours."""
        return _CONTROL.sub("", self._shown.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, words: str) -> None:
        """Return once `words` are shown."""
        deadline = time.monotonic() + BOUND
        while words not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"not shown within {BOUND:g} s: {words}\n{self.text}"
            assert self._read(left), f"it ended before it showed: {words}\n{self.text}"

    @property
    def controls(self) -> list[str]:
        """The control sequences that were shown so far: colours, movements, modes."""
        return _CONTROL.findall(self._shown.decode(errors="replace"))

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal's modes are those that it had at the beginning."""
        return termios.tcgetattr(self._end) == self._modes

    def press(self, keys: str) -> None:
        """Send keys, as the person at the terminal does."""
        os.write(self._end, keys.encode())

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the command, as `kill` does."""
        self._process.send_signal(number)

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does."""
        self._process.send_signal(2)

    def wait(self) -> int:
        """The exit status, once it has ended and all that it wrote is read."""
        deadline = time.monotonic() + BOUND
        while self._read(max(0.0, deadline - time.monotonic())):
            pass
        return self._process.wait(BOUND)

    def _read(self, timeout: float) -> bool:
        """Take what is shown next; whether there was anything."""
        if not select.select([self._end], [], [], timeout)[0]:
            return False
        piece = b""
        with contextlib.suppress(OSError):  # the last process on the terminal has ended
            piece = os.read(self._end, 65_536)
        self._shown += piece
        return bool(piece)
