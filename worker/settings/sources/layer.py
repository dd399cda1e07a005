"""What every source of settings yields: values by dotted key, and what is wrong with the source."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.settings.registry import Setting

__all__ = ["Given", "Layer", "nearest"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value as one source gave it, not yet validated, and the source's name for operators."""

    value: object
    source: str


@dataclass(slots=True)
class Layer:
    """All that one source gave, and one sentence for each thing wrong with it."""

    values: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def give(self, setting: Setting, value: object, source: str) -> None:
        """Note the value of a setting."""
        self.values[setting.key] = Given(value, source)

    def object_to(self, problem: str) -> None:
        """Note a problem."""
        self.problems.append(problem)


def nearest(name: str, known: Iterable[str]) -> str:
    """Find the known name that is spelled most like `name`.

    Args:
        known: at least one name.

    Returns:
        The name, however different it is.
    """
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
