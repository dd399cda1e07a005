"""`python -m demo`: photographs through real Kafka, a real model and back."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from demo.run import run_demo
from worker.errors import WorkerError
from worker.logs import configure
from worker.settings import LogSettings

__all__ = ["main"]

INTERRUPTED = 130


def main() -> int:
    """Run the demo.

    Returns:
        The exit code: 0 only if every expected answer came back.
    """
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="leave Kafka and the worker running until Ctrl-C"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="where pictures and logs go (default: %(default)s)",
    )
    given = parser.parse_args()
    # However it is ended, it stops what it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configure(LogSettings(level="warning", format="console"))
    console = Console()
    try:
        run_demo(given.out, console, keep=given.keep)
    except WorkerError as error:
        console.print(f"The demo failed: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
