"""Programs that do one thing and end: converters, package managers."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "run_tool"]


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended.

    Attributes:
        status: its exit status; negative for the signal that ended it.
        said: what it wrote to standard output and standard error, without space around it.
    """

    status: int
    said: str

    @property
    def lines(self) -> list[str]:
        """What it said, line by line; one line at least."""
        return self.said.splitlines() or ["no message"]


def run_tool(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    timeout: float,
    directory: Path | None = None,
) -> Ended:
    """Run a program to its end, with nothing on standard input.

    Args:
        command: the program, by its path or found along `PATH`, and its arguments.
        environ: its whole environment.
        timeout: seconds, after which it is killed.
        directory: that it runs in; None is this process's own.

    Returns:
        How it ended, whatever its status.

    Raises:
        TimeoutError: it did not end in time.
        OSError: it cannot be started.
    """
    try:
        done = subprocess.run(  # noqa: S603 - callers name programs and arguments of their own
            command,
            cwd=directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{command[0]} took more than {timeout:g} s") from error
    return Ended(done.returncode, done.stdout.decode(errors="replace").strip())
