"""A child process with a log, which does not outlive this one."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.errors import DemoError
from demo.orphans import OrphanGuard

__all__ = ["LoggedProcess", "log_end"]

LOG_LINES = 25


class LoggedProcess:
    """A process; a context manager that is left when it is gone.

    Args:
        what: what it is called in errors: `the worker`.
        command: its words, the program first.
        environment: all its variables.
        log_path: file that gets its standard error, and its standard output unless `talk` is set.
        directory: its working directory; None for this process's.
        talk: whether its standard input and output are pipes.

    Attributes:
        log_path: as given.
    """

    def __init__(
        self,
        what: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
        *,
        directory: Path | None = None,
        talk: bool = False,
    ) -> None:
        self.log_path = log_path
        self._what = what
        self._command = command
        self._environment = environment
        self._directory = directory
        self._talk = talk
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: OrphanGuard | None = None

    def __enter__(self) -> Self:
        self._guard = OrphanGuard()
        pipe = subprocess.PIPE if self._talk else None
        try:
            with self.log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    cwd=self._directory,
                    stdin=pipe or subprocess.DEVNULL,
                    stdout=pipe or log,
                    stderr=log,
                    # Out of the terminal's group: Ctrl-C reaches it as SIGTERM, in order.
                    start_new_session=True,
                )
            self._guard.watch(self._process.pid)
        except BaseException:
            self._guard.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        if self._guard is not None:
            self._guard.close()

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id; it is running, or was."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How the process ended, minus the signal's number if that ended it; None while it runs."""
        return None if self._process is None else self._process.poll()

    def failed(self, problem: str) -> DemoError:
        """Make the error for a process that failed.

        Returns:
            The error, not raised, with the end of its log.
        """
        return DemoError(
            f"{self._what} {problem}; {self.log_path} ends so:\n{log_end(self.log_path)}"
        )


def log_end(path: Path) -> str:
    """Read the end of a log.

    Returns:
        Its last lines.
    """
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:])
