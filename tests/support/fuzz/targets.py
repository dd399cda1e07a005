"""All targets, by name."""

from __future__ import annotations

from tests.support.fuzz import addresses, files, images, messages, streams
from tests.support.fuzz.target import TARGETS

__all__ = ["MODULES", "TARGETS"]

MODULES = (addresses, files, images, messages, streams)
"""Importing them registers their targets."""
