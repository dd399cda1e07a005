"""What the processes that the worker starts for native code have in common."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

__all__ = ["anonymous_file", "end_process", "start_module"]


def start_module(
    module: str,
    arguments: Sequence[int],
    descriptors: Sequence[int],
    *,
    output: int,
    environ: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start `python -P -m module arguments...`, which inherits `descriptors`.

    The current directory is not on its path: a file there that is called like a module would be
    executed. SIGINT and SIGTERM are blocked in it: a terminal's Ctrl-C and a service manager's
    SIGTERM go to all processes, but it is the owner that decides when the last work is done.
    Ignoring them would not do: Paddle installs handlers of its own.

    Args:
        output: descriptor that its standard output and standard error go to.

    Raises:
        OSError: the system has no room for another process.
    """
    with _stop_signals_blocked():
        return subprocess.Popen(  # noqa: S603 - this interpreter, with numbers
            [sys.executable, "-P", "-m", module, *map(str, arguments)],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
        )


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill it, if it still runs, and wait until it is gone."""
    process.kill()
    process.wait()


def anonymous_file() -> int:
    """The descriptor of a file without a name; the caller closes it."""
    if hasattr(os, "memfd_create"):
        # In memory, and not bounded by a container's small /dev/shm.
        return os.memfd_create("shared")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM in this thread, and so for ever in a process that it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
