"""Which dead letters a command is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from worker.contract.letters import DeadLetter

__all__ = ["Conditions", "Filter", "Place"]

_FIELDS = ("reason", "stage", "key", "job", "model", "topic")
_BELOW = "below"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a letter's own contents must be: they never change, so it matches today as tomorrow.

    Attributes:
        accepted: for each of the fields `reason`, `stage`, `key`, `job`, `model`, `topic` that
            matters, the values of which it must have one; in the order of `_FIELDS`, values sorted.
        below: the record must have been put back less often than that; None for any number.
    """

    accepted: tuple[tuple[str, tuple[str, ...]], ...] = ()
    below: int | None = None

    @classmethod
    def of(cls, below: int | None = None, **accepted: Iterable[str]) -> Conditions:
        """Make conditions; a field without values does not matter.

        Returns:
            The conditions, in the one form that equal ones have.
        """
        fields = {name: tuple(sorted(set(accepted.get(name, ())))) for name in _FIELDS}
        return cls(tuple((name, values) for name, values in fields.items() if values), below)

    def match(self, letter: DeadLetter) -> bool:
        """Tell whether a letter meets all conditions."""
        if self.below is not None and letter.replays >= self.below:
            return False
        return all(_value(letter, name) in values for name, values in self.accepted)

    def imply(self, other: Conditions) -> bool:
        """Tell whether each letter that meets these conditions meets those of `other` too."""
        if other.below is not None and (self.below is None or self.below > other.below):
            return False
        own = dict(self.accepted)
        return all(name in own and set(own[name]) <= set(values) for name, values in other.accepted)

    def written(self) -> dict[str, object]:
        """Convert them to plain values for JSON.

        Returns:
            A dictionary, which `read` reads.
        """
        written: dict[str, object] = {name: list(values) for name, values in self.accepted}
        return written if self.below is None else written | {_BELOW: self.below}

    @classmethod
    def read(cls, written: Mapping[str, object]) -> Conditions:
        """Read what `written` made.

        Returns:
            The conditions.

        Raises:
            ValueError: a condition is unknown: a later version wrote it.
        """
        fields = dict(written)
        below = fields.pop(_BELOW, None)
        accepted: dict[str, list[str]] = {}
        for name, values in fields.items():
            if name not in _FIELDS or not isinstance(values, list):
                raise ValueError(f"condition {name!r} is not known")
            accepted[name] = [str(value) for value in values]
        if below is not None and not isinstance(below, int):
            raise ValueError(f"{_BELOW} is {below!r}")
        return cls.of(below, **accepted)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a letter must be on the dead-letter topic, and when it must have been written.

    Attributes:
        partitions: partitions of the dead-letter topic; empty for all.
        offsets: first and last offset there.
        since_ms: first moment, in milliseconds since the epoch.
        until_ms: the moment after the last one.
    """

    partitions: frozenset[int] = frozenset()
    offsets: tuple[int, int] | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def match(self, letter: DeadLetter) -> bool:
        """Tell whether a letter is there."""
        if self.partitions and letter.partition not in self.partitions:
            return False
        if self.offsets is not None and not self.offsets[0] <= letter.offset <= self.offsets[1]:
            return False
        if self.since_ms is not None and letter.timestamp_ms < self.since_ms:
            return False
        return self.until_ms is None or letter.timestamp_ms < self.until_ms

    def ranges(self, bounds: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """Narrow down where letters can be, without looking at any.

        Args:
            bounds: first offset and end of each partition.

        Returns:
            The first offset to read and the offset after the last, by partition.
        """
        first, last = self.offsets or (0, 2**63 - 2)
        return {
            partition: (max(begin, first), min(end, last + 1))
            for partition, (begin, end) in bounds.items()
            if not self.partitions or partition in self.partitions
        }


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on contents and place together."""

    conditions: Conditions = Conditions()
    place: Place = Place()

    def match(self, letter: DeadLetter) -> bool:
        """Tell whether a letter is meant."""
        return self.place.match(letter) and self.conditions.match(letter)

    @property
    def chooses(self) -> bool:
        """Whether it leaves any letter out."""
        return self != Filter()


def _value(letter: DeadLetter, name: str) -> str | None:
    match name:
        case "reason":
            return letter.reason
        case "stage":
            return letter.stage
        case "key":
            return None if letter.key is None else letter.key.decode("utf-8", "backslashreplace")
        case "job":
            return letter.job_id
        case "model":
            return letter.model
        case _:
            return letter.source_topic
