"""How Python processes of this package are started: they run nothing from the current directory."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["module_command"]

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
