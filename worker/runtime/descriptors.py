"""Makes sure that the standard descriptors exist, and carry only results and log lines.

Native code writes where it likes: Paddle prints on standard output while it loads some networks,
codecs complain on standard error. A reader of either would take that for results or log lines.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
from io import FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from worker.runtime.native_output import NativeOutput

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

__all__ = ["OwnStreams", "duplicate", "open_missing"]

STDIN, STDOUT, STDERR = 0, 1, 2

ROOM = 1024 * 1024
"""Bytes of a pipe for what native code writes, where the system can make it so large."""

LAST_WORDS = 1.0
"""Seconds to wait at the end for what native code has written."""

PIPE_BYTES = 1024 * 1024
"""Room in each pipe. Native code that holds the GIL keeps the reader from reading: if the pipe
were full, it would wait forever. Linux allows this size to every user; its default is 64 KiB."""


def open_missing() -> None:
    """Open standard descriptors that are closed on /dev/null, and give Python streams on them.

    The next file or socket would get such a number, and be taken for standard output then.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, and therefore this one.
            os.open(os.devnull, os.O_RDONLY if descriptor == STDIN else os.O_WRONLY)
            os.set_inheritable(descriptor, True)
    for name, descriptor in (("stdin", STDIN), ("stdout", STDOUT), ("stderr", STDERR)):
        if getattr(sys, name) is None:
            mode = "r" if descriptor == STDIN else "w"
            _replace(name, TextIOWrapper(FileIO(descriptor, mode, closefd=False), "utf-8"))


def duplicate(descriptor: int) -> int:
    """Copy a descriptor.

    Returns:
        A copy that is none of the standard descriptors, and that no child inherits.
    """
    copy = os.dup(descriptor)
    if copy > STDERR:
        return copy
    try:
        return duplicate(descriptor)
    finally:
        os.close(copy)


class OwnStreams:
    """Keeps the real standard output and error for Python; what native code writes is logged.

    A context manager, for the main thread of a command. Within it `sys.stdout` and `sys.stderr`
    are what they were, on descriptors of their own. Descriptors 1 and 2 are pipes, whose lines
    become log records (see `NativeOutput`), and children inherit those. Writing to them never
    waits: what finds such a pipe full is lost.

    After it both of them are the real standard error: what native code says while it is unloaded
    is no result either.
    """

    def __enter__(self) -> Self:
        self._restore: Callable[[], None] = lambda: None
        if sys.platform != "win32":
            self._separate()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _separate(self) -> None:
        out, err = duplicate(STDOUT), duplicate(STDERR)
        _replace("stdout", _on(out, sys.stdout))
        _replace("stderr", _on(err, sys.stderr))
        pipes = [_pipe(), _pipe()]
        for descriptor, (_, write_end) in zip((STDOUT, STDERR), pipes, strict=True):
            _enlarge(write_end)
            os.dup2(write_end, descriptor)
            os.close(write_end)
        (printed, _), (complained, _) = pipes
        native = NativeOutput("native", {printed: logging.INFO, complained: logging.WARNING})
        # A crash ends the pipe's reader too: its report goes to standard error itself.
        crash_report = _never_blocking(err)
        faulthandler.enable(err if crash_report is None else crash_report)

        def restore() -> None:
            # Closes the last write ends of this process, so that the reader comes to its end.
            os.dup2(err, STDOUT)
            os.dup2(err, STDERR)
            native.join(LAST_WORDS)

        self._restore = restore


def _pipe() -> tuple[int, int]:
    """A pipe whose write end never blocks.

    Native code may hold the interpreter's lock while it writes. Were it to wait for room, the
    thread that reads could never make any.
    """
    import fcntl  # noqa: PLC0415 - not on Windows

    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, ROOM)
    return read_end, write_end


def _replace(name: str, stream: TextIO) -> None:
    setattr(sys, name, stream)
    # What libraries ask for a terminal's width.
    setattr(sys, f"__{name}__", stream)


def _on(descriptor: int, like: TextIO) -> TextIOWrapper:
    """A stream that never closes its descriptor, otherwise like another one."""
    at_once = any(getattr(like, name, False) for name in ("line_buffering", "write_through"))
    return open(
        descriptor,
        "w",
        buffering=1 if at_once else -1,
        encoding=like.encoding,
        errors=like.errors,
        closefd=False,
    )


def _enlarge(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - not on Windows

        with contextlib.suppress(OSError):  # this user has too many large ones already
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _never_blocking(descriptor: int) -> int | None:
    """Open the same file or pipe again, so that writing never waits; None where that fails.

    The flag of the descriptor itself is not changed: the parent process shares it.
    """
    with contextlib.suppress(OSError):
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND)
    return None
