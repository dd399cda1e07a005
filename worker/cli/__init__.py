"""The command line: parses, calls, and turns errors into exit codes."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line and exit.

    A worker is stopped in order at any time, also before it is there to be told: loading the
    commands alone can take seconds.
    """
    if sys.argv[1:2] in (["run"], ["serve"]):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end_process)
    from worker.cli.commands import run_command_line  # noqa: PLC0415 - see above

    run_command_line()


def _end_process(_number: int, _frame: FrameType | None) -> None:
    """For signals before `worker.app` handles them: nothing is begun yet that must be ended."""
    # Not an exception: raised amid an import, it could end up anywhere.
    os._exit(0)
