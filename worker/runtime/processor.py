"""The processor that this machine has, as far as the system tells."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path

__all__ = ["processor"]


def processor() -> str:
    """Describe the processor: libraries choose their kernels by it.

    Returns:
        Its model and its features.
    """
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace").partition("\n\n")[0]
        wanted = ("model name", "flags", "Features")
        return "\n".join(line for line in text.splitlines() if line.startswith(wanted))
    return f"{platform.machine()} {platform.processor()}"
