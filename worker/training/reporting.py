"""What a training tells while it goes on; the command line shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Reporter"]


class Reporter(Protocol):
    """Is told what happens, in order."""

    def say(self, what: str) -> None:
        """Tell what is being done, such as `cutting the head off`."""
        ...

    def note(self, fact: str) -> None:
        """Tell a fact that stays: a sentence."""
        ...

    def reading(self, done: int, total: int, skipped: int) -> None:
        """Tell how many images have been read, and how many of them could not be."""
        ...

    def step(self, facts: Mapping[str, Any]) -> None:
        """Tell of the epoch under way: `phase`, `epoch`, `epochs`, `step`, `steps`, `loss`, `top1`.

        The loss and the share of right answers are those of its steps so far.
        """
        ...

    def epoch(self, facts: Mapping[str, Any], epochs: int) -> None:
        """Tell of an epoch that is done: the same, and `val_loss` and `val_top1`.

        Args:
            epochs: of its phase.
        """
        ...
