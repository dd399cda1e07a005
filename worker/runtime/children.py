"""How Python processes of this package are started and ended: what all of them have in common."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from worker.errors import UnfitSystemError
from worker.runtime.libraries import DIRECTORY_REMEDY

__all__ = ["anonymous_file", "end_process", "module_command", "start_module"]

_START = Path(__file__).with_name("child.py")


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that calls `main()` of one of this package's modules.

    `python -m` would put the current directory first: a `worker.py` or `json.py` that happens to
    lie there would be run instead. The child finds this very package, however that was found, and
    the rest where `PYTHONPATH` and the interpreter say.

    Args:
        module: its full name.
        arguments: its `sys.argv[1:]`.
    """
    return [sys.executable, "-P", str(_START), module, *arguments]


def start_module(
    module: str,
    arguments: Sequence[int],
    descriptors: Sequence[int],
    *,
    environ: Mapping[str, str],
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a module in a process that inherits `descriptors`, and leaves signals to its owner.

    Raises:
        OSError: the system has no room for another process.
    """
    with _stop_signals_blocked():
        return subprocess.Popen(  # noqa: S603 - this interpreter, with numbers
            module_command(module, *map(str, arguments)),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environ,
        )


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill it, if it still runs, and wait until it is gone."""
    process.kill()
    process.wait()


def anonymous_file() -> int:
    """The descriptor of a file without a name; the caller closes it.

    Raises:
        UnfitSystemError: the system has no memory files, and no temporary directory either.
    """
    if hasattr(os, "memfd_create"):
        # In memory, and not bounded by a container's small /dev/shm.
        return os.memfd_create("shared")
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except FileNotFoundError as error:
        raise UnfitSystemError(
            f"the memory shared with processes needs a file ({error.strerror}): {DIRECTORY_REMEDY}"
        ) from error


@contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """Block the signals that stop a worker in this thread, and so for ever in what it starts.

    A terminal's Ctrl-C and a service manager's SIGTERM go to all processes of the worker, but it is
    the worker that decides when the last batch is done. Ignoring them in the process would not do:
    Paddle installs handlers of its own.
    """
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
