"""What the processes that the worker starts for native code have in common."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from worker.errors import UnfitSystemError
from worker.runtime.children import module_command
from worker.runtime.libraries import DIRECTORY_REMEDY
from worker.runtime.native_output import NativeOutput

__all__ = ["anonymous_file", "end_process", "start_logged", "start_module"]


def start_module(
    module: str,
    arguments: Sequence[int],
    descriptors: Sequence[int],
    *,
    output: tuple[int, int],
    environ: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start a process that calls `main()` of a module, and inherits `descriptors`.

    The current directory is not on its path (see `module_command`). The signals that stop a worker
    are blocked in it: a terminal's Ctrl-C and a service manager's SIGTERM go to all processes, but
    it is the owner that decides when the last work is done. Ignoring them would not do: Paddle
    installs handlers of its own.

    Args:
        output: descriptors that its standard output and standard error go to.

    Returns:
        The process.

    Raises:
        OSError: the system has no room for another process.
    """
    stdout, stderr = output
    with _stop_signals_blocked():
        return subprocess.Popen(  # noqa: S603 - this interpreter, with numbers
            module_command(module, *map(str, arguments)),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environ,
        )


def start_logged(
    module: str,
    arguments: Sequence[int],
    descriptors: Sequence[int],
    *,
    name: str,
    environ: Mapping[str, str],
) -> tuple[subprocess.Popen[bytes], NativeOutput]:
    """Start a process as `start_module` does, and log what it writes with its pid.

    Args:
        name: the logger's.

    Returns:
        The process, and what logs its output until both pipes are closed.

    Raises:
        OSError: the system has no room for another process.
    """
    printed, stdout = os.pipe()
    complained, stderr = os.pipe()
    try:
        process = start_module(
            module, arguments, descriptors, output=(stdout, stderr), environ=environ
        )
    except BaseException:
        os.close(printed)
        os.close(complained)
        raise
    finally:
        os.close(stdout)
        os.close(stderr)
    levels = {printed: logging.INFO, complained: logging.WARNING}
    return process, NativeOutput(name, levels, {"pid": process.pid})


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill it, if it still runs, and wait until it is gone."""
    process.kill()
    process.wait()


def anonymous_file() -> int:
    """Make a file without a name.

    Returns:
        Its descriptor, which the caller closes.

    Raises:
        UnfitSystemError: the system has no memory files, and no temporary directory either.
    """
    if hasattr(os, "memfd_create"):
        # In memory, and not bounded by a container's small /dev/shm.
        return os.memfd_create("shared", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except FileNotFoundError as error:
        raise UnfitSystemError(
            f"memory shared between processes needs a file ({error.strerror}): {DIRECTORY_REMEDY}"
        ) from error


@contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """Block them in this thread, and so permanently in a process that it starts."""
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
