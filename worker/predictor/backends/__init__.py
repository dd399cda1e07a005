"""What runs a network: one protocol, one module per library."""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["Backend", "CropBackend", "own_sentence"]

LONGEST = 1000
"""Characters of a sentence."""

_AFTERWARDS = re.compile(r"\s*\[Hint:|\s*\(at [^()\s]+:\d+\)|\s*\[operator <")
_PADDLE = re.compile(
    rf"((?:\([A-Z]\w+\)|(?:^|(?<=\s))[A-Z]\w+Error:)\s.*?)(?:{_AFTERWARDS.pattern}|\Z)", re.DOTALL
)


class Backend(Protocol):
    """A loaded network on a device, used by one thread at a time."""

    @property
    def name(self) -> str:
        """What computes, for logs and metrics."""
        ...

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute the network.

        Args:
            batch: `[N, 3, H, W] float32`, normalised.

        Returns:
            `[N, C] float32`: scores, or logits, as the network answers.

        Raises:
            Exception: whatever the library raises; the caller takes it for a failed batch.
        """
        ...


@runtime_checkable
class CropBackend(Protocol):
    """A loaded network that normalises crops on its device; used by one thread at a time."""

    @property
    def name(self) -> str:
        """What computes, for logs and metrics."""
        ...

    def run_crops(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Normalise crops, and compute the network.

        Args:
            crops: `[N, H, W, 3] uint8`.

        Returns:
            `[N, C] float32`: scores, or logits, as the network answers.

        Raises:
            Exception: whatever the library raises; the caller takes it for a failed batch.
        """
        ...


def own_sentence(error: Exception) -> str:
    """Extract from a library's error what went wrong.

    Paddle writes `(InvalidArgument) sentence` or `InvalidArgumentError: sentence`, with a C++ stack
    before it, and hints, the place in its source and the name of an operator after it.

    Returns:
        The library's own words in one line.
    """
    text = str(error)
    found = _PADDLE.search(text)
    sentence = " ".join((_AFTERWARDS.split(text)[0] if found is None else found[1]).split())
    return (sentence or " ".join(text.split()) or type(error).__name__)[:LONGEST]
