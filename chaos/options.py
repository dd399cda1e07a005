"""What a run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chaos.schedule import Kind

__all__ = ["Delivery", "Options"]


class Delivery(StrEnum):
    """What the workers promise."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"


@dataclass(frozen=True, slots=True)
class Options:
    """A run.

    Attributes:
        ordered: whether results are to come in the order of jobs without transactions too.
        minutes: after which it is given up.
    """

    seed: int
    jobs: int
    faults: int
    kinds: tuple[Kind, ...]
    delivery: Delivery
    ordered: bool
    workers: int
    brokers: int
    minutes: float

    @property
    def once(self) -> bool:
        """Whether each outcome is promised exactly once."""
        return self.delivery is Delivery.EXACTLY_ONCE
