"""Which records of retry topics are due, and which partitions wait until theirs are.

A partition waits paused, at the offset of its next record: nothing of it is held, neither in memory
nor in the budget of jobs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.retries import not_before_ms

if TYPE_CHECKING:
    from worker.contract.records import Record
    from worker.kafka.assignment import PartitionState

__all__ = ["RetryWaits"]

GRAIN = 1 / 20
"""Part of its delay for which a partition waits at least, and so the most by which a retry is late
in an idle worker. After each wait the partition is fetched anew, which should happen seldom."""


@dataclass(slots=True)
class _Wait:
    """What is known of one retry partition during one assignment.

    Attributes:
        until: monotonic seconds until which it waits.
        offset: the record for which it waits, or waited last.
        ends: where the partition was known to end at some moments, oldest first.
        old_to: each record before this offset is older than the delay.
    """

    state: PartitionState
    until: float = 0.0
    offset: int | None = None
    ends: deque[tuple[float, int]] = field(default_factory=deque)
    old_to: int = 0


class RetryWaits:
    """When retry partitions are read; no I/O.

    When a record is due is in its header, by the clock of another machine. So no record waits for
    longer than the delay of its topic: neither from when it was first seen at the front of its
    partition, nor from when the partition was known to have it. Otherwise one wrong clock would let
    through one record a delay.

    Args:
        delays: the delay in seconds by topic.
        clock: measures the waits.
    """

    def __init__(self, delays: Mapping[str, float], clock: Clock = SYSTEM_CLOCK) -> None:
        self._delays = delays
        self._clock = clock
        self._waits: dict[object, _Wait] = {}

    def concern(self, state: PartitionState) -> bool:
        """Tell whether a partition is one of a retry topic."""
        return state.partition.topic in self._delays

    def is_waiting(self, state: PartitionState) -> bool:
        """Tell whether a partition is not to be read now."""
        if not self.concern(state):
            return False
        wait = self._wait(state)
        self._note_end(wait)
        return self._clock.monotonic() < wait.until

    def soonest(self, longest: float) -> float:
        """Compute how long nothing becomes due.

        Returns:
            Seconds until the next wait ends, `longest` at most.
        """
        now = self._clock.monotonic()
        left = (wait.until - now for wait in self._waits.values() if wait.until > now)
        return min((longest, *left))

    def take_due(self, state: PartitionState, records: Sequence[Record]) -> Sequence[Record]:
        """Separate records that are due from those behind them that are not.

        From the first that is not due, the partition waits.

        Args:
            records: those that were read of a partition, in order.

        Returns:
            The records up to there.
        """
        wait = self._wait(state)
        delay = self._delays[state.partition.topic]
        now, wall = self._clock.monotonic(), self._clock.wall()
        for count, record in enumerate(records):
            seconds = self._seconds_left(wait, record, delay, now, wall)
            if seconds > 0:
                wait.offset, wait.until = record.offset, now + max(seconds, delay * GRAIN)
                return records[:count]
        return records

    def _seconds_left(
        self, wait: _Wait, record: Record, delay: float, now: float, wall: float
    ) -> float:
        if record.offset < wait.old_to or (record.offset == wait.offset and now >= wait.until):
            return 0.0
        due = not_before_ms(record)
        if due is None:
            return 0.0
        known_since = next((at for at, end in wait.ends if record.offset < end), now)
        return min(due / 1000 - wall, known_since + delay - now)

    def _wait(self, state: PartitionState) -> _Wait:
        """Get what is known of a partition; nothing, in a new assignment."""
        wait = self._waits.get(state.partition)
        if wait is None or wait.state is not state:
            wait = self._waits[state.partition] = _Wait(state)
        return wait

    def _note_end(self, wait: _Wait) -> None:
        """Take note of where a partition ends, and which of its records are old by now."""
        end, delay = wait.state.end, self._delays[wait.state.partition.topic]
        now = self._clock.monotonic()
        last = wait.ends[-1][0] if wait.ends else -math.inf
        if end is not None and now - last >= delay * GRAIN:
            wait.ends.append((now, end))
        while wait.ends and now - wait.ends[0][0] >= delay:
            wait.old_to = max(wait.old_to, wait.ends.popleft()[1])
