"""Waits for a key, for a signal, or to be woken, on a terminal that is restored afterwards."""

from __future__ import annotations

import enum
import os
import select
import signal
import sys
import termios
from contextlib import ExitStack, suppress
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Keyboard", "Pressed"]

QUIT = b"qQ\x03\x04"
"""`q`, Ctrl-C and Ctrl-D."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Attributes = list[Any]
"""A terminal's, as `termios` has them."""

LFLAG = 3
"""Where the local modes stand in a terminal's attributes."""


class Pressed(enum.Enum):
    """What ended a wait."""

    NOTHING = enum.auto()
    """Its time is over, it was woken, or the window has another size."""
    QUIT = enum.auto()


class Keyboard:
    """Reads keys as they are pressed, without showing them; a context manager.

    Meanwhile signals that end a process end the wait instead. They must, since a process that just
    ends leaves the terminal without an echo.

    Attributes:
        status: the exit status that a shell expects: 0, or 128 and the number of the signal.
    """

    def __init__(self) -> None:
        self.status = 0
        self._stack = ExitStack()
        self._input: int | None = None
        self._woken, self._wake = -1, -1

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, self._woken)
            stack.callback(os.close, self._wake)
            for number in (*ENDING, signal.SIGWINCH):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before = signal.signal(number, self._hear)
                    stack.callback(signal.signal, number, before)
            if sys.stdin.isatty():
                self._input = sys.stdin.fileno()
                saved = termios.tcgetattr(self._input)
                stack.callback(_restore, self._input, saved)
                attributes = termios.tcgetattr(self._input)
                # Without ISIG, Ctrl-C is a key, and Ctrl-Z leaves no half-drawn terminal behind.
                attributes[LFLAG] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
                termios.tcsetattr(self._input, termios.TCSAFLUSH, attributes)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def wake(self) -> None:
        """End the present wait, or the next one; called by any thread, before the end."""
        with suppress(BlockingIOError):  # full: it is woken already
            os.write(self._wake, b"\0")

    def wait(self, timeout: float) -> Pressed:
        """Wait for a key that means something.

        Args:
            timeout: seconds.
        """
        watched = [self._woken] if self._input is None else [self._woken, self._input]
        readable = select.select(watched, [], [], timeout)[0]
        if self._woken in readable:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)
        if self.status:
            return Pressed.QUIT
        if self._input is None or self._input not in readable:
            return Pressed.NOTHING
        return self._read(self._input)

    def _read(self, descriptor: int) -> Pressed:
        try:
            keys = os.read(descriptor, 4096)
        except OSError:
            keys = b""
        if not keys:  # the terminal has gone
            self.status = 128 + signal.SIGHUP
        elif b"\x03" in keys:
            self.status = 128 + signal.SIGINT
        return Pressed.QUIT if not keys or set(keys) & set(QUIT) else Pressed.NOTHING

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGWINCH:
            self.status = 128 + number
        self.wake()


def _restore(descriptor: int, attributes: Attributes) -> None:
    with suppress(termios.error):  # the terminal has gone
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, attributes)
