"""How Python processes of this package are started: they run nothing from the current directory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

__all__ = ["die_with", "module_command"]

PR_SET_PDEATHSIG = 1

_START = Path(__file__).with_name("child.py")


def module_command(module: str, *arguments: str) -> list[str]:
    """Make the command that calls `main()` of one of this package's modules.

    `python -m` would put the current directory first: a `worker.py` or `json.py` that happens to
    lie there would be run instead. The child finds this very package, however that was found, and
    the rest where `PYTHONPATH` and the interpreter say.

    Args:
        module: its full name.
        arguments: its `sys.argv[1:]`.

    Returns:
        The command's words, interpreter first.
    """
    return [sys.executable, "-P", str(_START), module, *arguments]


def die_with(owner: int) -> None:
    """Have the kernel kill this process, which `owner` started, when its owner dies.

    A process that is busy with native code would notice nothing. On Linux alone.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:
            sys.exit("the owner died before its process was up")
