"""How the C library is told to give back what is freed, so that only what is held is seen."""

from __future__ import annotations

__all__ = ["GIVES_BACK"]

GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Of glibc, which else keeps freed memory; bytes."""
