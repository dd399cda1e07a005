"""The processor that this machine has, as far as the system tells."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path

__all__ = ["has_bfloat16", "processor"]

_BFLOAT16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Features with which bfloat16 is computed rather than emulated: of x86-64, and of ARM."""


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


def has_bfloat16() -> bool:
    """Find out whether the processor computes with bfloat16.

    Returns:
        Whether it has a feature for it, as far as the system tells.
    """
    return not _BFLOAT16.isdisjoint(processor().split())
