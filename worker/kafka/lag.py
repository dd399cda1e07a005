"""How much work waits in the assigned partitions, and how long it will take.

What a fetch tells of a partition's end is too old: while the worker has enough to do, it fetches
seldom. So leaders are asked on a timer.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Container, Mapping
from functools import partial
from typing import TYPE_CHECKING

import structlog

from worker.clock import SYSTEM_CLOCK, Clock
from worker.kafka.pace import Pace

if TYPE_CHECKING:
    from worker.kafka.assignment import Assignment, PartitionState
    from worker.kafka.consumer import Consumer

__all__ = ["LagWatch"]

INTERVAL = 1.0
"""Seconds between two questions to a leader."""

log = structlog.get_logger(__name__)


class LagWatch:
    """Asks leaders where partitions end, and measures the pace.

    The lag of a partition is what one answer and the offset committed at that moment give: an older
    end and a newer commit would show too little.

    A leader that does not answer holds up nothing else: it is asked again when it has answered, or
    when the connection is given up. Leaders without a connection are not asked, as the consumer
    connects to them itself.

    Args:
        commit_interval: seconds between commits, for half of which a record waits on average.
        interval: seconds between two questions to a leader.
        waiting: the topics whose records wait on purpose. They count neither as work nor as lag.
    """

    def __init__(
        self,
        consumer: Consumer,
        assignment: Assignment,
        commit_interval: float,
        interval: float = INTERVAL,
        clock: Clock = SYSTEM_CLOCK,
        *,
        waiting: Container[str] = (),
    ) -> None:
        self._waiting = waiting
        self._consumer = consumer
        self._assignment = assignment
        self._commit_interval = commit_interval
        self._interval = interval
        self._clock = clock
        self._pace = Pace()
        self._questions: dict[int, asyncio.Task[None]] = {}
        # By partition and how far its records were lost.
        self._done: Mapping[tuple[PartitionState, int], int] = {}
        self._noted = clock.monotonic()

    async def run(self) -> None:
        """Ask and measure until cancelled."""
        try:
            while True:
                self._ask()
                await self._clock.sleep(self._interval)
                self._note_pace()
        finally:
            questions = list(self._questions.values())
            for question in questions:
                question.cancel()
            await asyncio.gather(*questions, return_exceptions=True)

    def age(self) -> float | None:
        """Measure how long ago a leader last said where one of its partitions ends.

        Returns:
            Seconds, of the partition for which it is longest; since the assignment before the first
            answer. None without partitions.
        """
        now = self._clock.monotonic()
        return max((now - state.end_known_at for state in self._assignment), default=None)

    def time_to_drain(self) -> float | None:
        """Estimate how long it takes until the records that wait are done and committed.

        Returns:
            Seconds; infinite while none is done, None while nothing is known.
        """
        left = self._left()
        if not left:
            return left
        rate = self._pace.rate
        if rate is None:
            return None
        return left / rate + self._commit_interval / 2 if rate else math.inf

    def _left(self) -> int | None:
        """Count the records that are not done yet.

        Returns:
            0 for a spare replica; None during a rebalance, and before any leader has answered.
        """
        jobs = self._jobs()
        known = [left for state in jobs if (left := state.left) is not None]
        spare = self._assignment.accepting and not jobs
        return sum(known) if known or spare else None

    def _jobs(self) -> list[PartitionState]:
        """The partitions whose records do not wait on purpose."""
        return [each for each in self._assignment if each.partition.topic not in self._waiting]

    def _note_pace(self) -> None:
        now, before = self._clock.monotonic(), self._done
        self._done = {
            # With what was lost: skipping that is no work.
            (state, state.lost_to): done
            for state in self._jobs()
            if (done := state.done) is not None
        }
        progress = sum(done - before[key] for key, done in self._done.items() if key in before)
        self._pace.note(now - self._noted, max(0, progress), self._left() or 0)
        self._noted = now

    def _ask(self) -> None:
        by_leader: defaultdict[int, list[PartitionState]] = defaultdict(list)
        for state in self._assignment:
            leader = self._consumer.connected_leader(state.partition)
            if leader is not None:
                by_leader[leader].append(state)
        for leader, states in by_leader.items():
            if leader not in self._questions:
                question = asyncio.create_task(self._ask_leader(states), name=f"lag-{leader}")
                self._questions[leader] = question
                question.add_done_callback(partial(self._answered, leader))

    def _answered(self, leader: int, _: asyncio.Task[None]) -> None:
        del self._questions[leader]

    async def _ask_leader(self, states: list[PartitionState]) -> None:
        try:
            ends = await self._consumer.ask_ends([state.partition for state in states])
        except Exception as error:  # noqa: BLE001 - whatever it is, only a figure is missing
            log.debug("lag_unknown", error=f"{type(error).__name__}: {error}")
            return
        now = self._clock.monotonic()
        for state in states:
            if (end := ends.get(state.partition)) is not None:
                state.note_end(end, now)
