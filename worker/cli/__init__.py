"""The command line: parses, calls, and turns errors into exit codes."""

from __future__ import annotations

import sys

# As in `typing`; see `worker`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line and exit.

    Signal handling is set up before anything else is loaded, which can take seconds: a worker can
    be stopped gracefully at any time, and Ctrl-C ends any other command without a traceback.
    """
    is_worker = sys.argv[1:2] in (["run"], ["serve"])
    if not is_worker:
        from worker.cli.interrupts import end_at_once  # noqa: PLC0415

        end_at_once()
    if sys.argv[1:2] == ["health"]:
        from worker.cli.health_request import answer_at_once  # noqa: PLC0415

        status = answer_at_once(sys.argv[2:])
        if status is not None:
            sys.exit(status)
    from worker.runtime.descriptors import OwnStreams, open_missing  # noqa: PLC0415
    from worker.runtime.signals import StopSignals  # noqa: PLC0415

    open_missing()
    signals = StopSignals() if is_worker else None
    with OwnStreams():
        from worker.cli.commands import run_command_line  # noqa: PLC0415

        run_command_line(signals)
