"""Assigned partitions, their end, and jobs that finish too late: no broker needed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import cast

import pytest
from aiokafka import TopicPartition

from worker.clock import Clock
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.delivery import Delivery
from worker.kafka.rebalance import RebalanceListener, release_partitions
from worker.metrics import Metrics

ZERO, ONE = TopicPartition("jobs", 0), TopicPartition("jobs", 1)
BOUND = 10.0


class Commits:
    """Stands in for the delivery: notes what it would have committed, and when."""

    def __init__(self, assignment: Assignment, events: list[str]) -> None:
        self.assignment = assignment
        self.events = events
        self.error: Exception | None = None
        self.timeouts: list[float | None] = []

    def hurry(self) -> None:
        assert not self.assignment.accepting

    def begin(self, states: Collection[PartitionState]) -> None:
        assert set(states) == set(self.assignment)

    async def commit(self, timeout: float | None = None) -> bool:
        self.timeouts.append(timeout)
        positions = {state.partition.partition: position(state) for state in self.assignment}
        self.events.append(f"commit {positions}")
        if self.error is not None:
            raise self.error
        return True


def position(state: PartitionState) -> int | None:
    return state.ledger.position


def run_job(state: PartitionState, offset: int, events: list[str]) -> asyncio.Event:
    """A job as intake runs it, which ends when the event is set."""
    end = asyncio.Event()
    state.ledger.track(offset)

    async def job() -> None:
        await end.wait()
        state.ledger.settle(offset)
        events.append(f"settled {offset}")

    task = asyncio.create_task(job())
    state.tasks.add(task)
    task.add_done_callback(state.tasks.discard)
    return end


def assigned(*partitions: TopicPartition) -> tuple[Assignment, list[PartitionState]]:
    assignment = Assignment()
    assignment.assign(partitions)
    return assignment, list(assignment)


async def test_records_are_taken_from_assigned_partitions_until_they_are_given_up() -> None:
    assignment, (state,) = assigned(ZERO)
    assert assignment.get(ZERO) is state
    assert assignment.get(ONE) is None
    assignment.accepting = False
    assert assignment.get(ZERO) is None
    assignment.assign([ZERO])
    again = assignment.get(ZERO)
    assert again is not None
    assert again is not state
    assert len(assignment) == 1


async def test_giving_up_drains_commits_and_only_then_abandons() -> None:
    assignment, (state,) = assigned(ZERO)
    events: list[str] = []
    ends = [run_job(state, offset, events) for offset in (0, 1, 2)]
    commits = Commits(assignment, events)
    giving_up = asyncio.create_task(
        release_partitions(assignment, cast(Delivery, commits), BOUND, Metrics(), "shutdown", 3.0)
    )
    await asyncio.sleep(0)
    assert not assignment.accepting
    for end in reversed(ends):
        end.set()
    assert await giving_up == 0
    assert events == ["settled 2", "settled 1", "settled 0", "commit {0: 3}"]
    assert commits.timeouts == [3.0]
    assert state.ledger.closed
    assert len(assignment) == 0


async def test_what_does_not_end_in_time_is_abandoned_and_never_committed() -> None:
    assignment, (state,) = assigned(ZERO)
    events: list[str] = []
    ends = [run_job(state, offset, events) for offset in (0, 1, 2)]
    ends[0].set()
    ends[2].set()
    abandoned = await release_partitions(
        assignment, cast(Delivery, Commits(assignment, events)), 0.05, Metrics(), "rebalance"
    )
    assert abandoned == 1
    assert events[-1] == "commit {0: 1}", (
        "offset 1 is unsettled: nothing beyond it may be committed"
    )
    assert not state.tasks


async def test_a_job_that_resists_its_cancellation_settles_nothing() -> None:
    assignment, (state,) = assigned(ZERO)
    state.ledger.track(0)

    async def stubborn() -> None:
        try:
            await asyncio.sleep(BOUND)
        except asyncio.CancelledError:
            # As when an acknowledgement arrives in the same turn of the loop.
            assert state.ledger.settle(0) == []

    state.tasks.add(asyncio.create_task(stubborn()))
    await asyncio.sleep(0)
    await assignment.abandon()
    assert state.ledger.position is None


async def test_jobs_are_abandoned_even_when_the_commit_raises() -> None:
    assignment, (state,) = assigned(ZERO)
    run_job(state, 0, [])
    commits = Commits(assignment, [])
    commits.error = RuntimeError("a defect")
    with pytest.raises(RuntimeError, match="a defect"):
        await release_partitions(assignment, cast(Delivery, commits), 0.0, Metrics(), "shutdown")
    assert state.ledger.closed
    assert not state.tasks


async def test_a_rebalance_is_told_of_and_starts_with_new_ledgers() -> None:
    metrics = Metrics()
    assignment, (state, _) = assigned(ZERO, ONE)
    events: list[str] = []
    run_job(state, 7, events).set()
    changes: list[bool] = []
    listener = RebalanceListener(
        assignment, cast(Delivery, Commits(assignment, events)), BOUND, metrics, changes.append
    )

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(name)

    await listener.on_partitions_revoked({ZERO, ONE})
    assert changes == [False]
    assert events == ["settled 7", "commit {0: 8, 1: None}"]
    assert value("classify_assigned_partitions") == 0
    await listener.on_partitions_assigned({ONE})
    assert changes == [False, True]
    assert [held.partition for held in assignment] == [ONE]
    assert position(next(iter(assignment))) is None
    assert value("classify_assigned_partitions") == 1
    assert value("classify_rebalances_total") == 1


async def test_a_spare_replica_is_assigned_nothing_and_still_ready() -> None:
    changes: list[bool] = []
    assignment = Assignment()
    listener = RebalanceListener(
        assignment, cast(Delivery, Commits(assignment, [])), BOUND, Metrics(), changes.append
    )
    await listener.on_partitions_assigned(set())
    assert changes == [True]
    assert assignment.accepting


async def test_lag_and_age_of_each_partition() -> None:
    assignment = Assignment(clock=Clock(wall=lambda: 1000.0))
    assignment.assign([ZERO, ONE])
    zero, one = assignment
    assert [each.lag for each in assignment.progress()] == [None, None]
    zero.start = 10
    zero.note_end(25, now=0.0)
    assert {(s.partition, s.lag, s.oldest_age) for s in assignment.progress()} == {
        (0, 15, 0.0),
        (1, None, 0.0),
    }
    zero.ledger.track(10, 990_000)
    zero.ledger.track(11, 995_000)
    one.ledger.track(5, 1_002_000)
    zero.ledger.settle(10)
    progress = {each.partition: each for each in assignment.progress([ONE])}
    assert (progress[0].lag, progress[0].oldest_age) == (15, 5.0), "it is not committed"
    assert progress[1].oldest_age == 0.0, "a producer's clock may be ahead"
    assert [progress[number].unreadable for number in (0, 1)] == [False, True]


async def test_lag_is_from_the_committed_offset_to_the_end_at_one_moment() -> None:
    _, (state,) = assigned(ZERO)
    state.ledger.track(7)
    state.note_end(9, now=1.0)
    assert state.lag == 2, "before anything else is known, reading began at the first record"
    state.start = 5
    state.note_end(9, now=2.0)
    assert state.lag == 4
    state.committed = 8
    assert state.lag == 4, "an old end and a new commit would show too little"
    state.note_end(20, now=3.0)
    assert (state.lag, state.end_known_at) == (12, 3.0)
    state.note_end(6, now=4.0)
    assert state.lag == 0, "the topic was made anew, and this is not noticed yet"


async def test_what_is_done_and_what_is_left_add_up_to_the_end() -> None:
    _, (state,) = assigned(ZERO)
    assert (state.done, state.left) == (None, None)
    state.start = 10
    state.note_end(20, now=0.0)
    assert (state.done, state.left) == (10, 10)
    for offset in (10, 11, 14):
        state.ledger.track(offset)
    assert (state.done, state.left) == (12, 8), "12 and 13 are no jobs"
    state.ledger.settle(11)
    assert (state.done, state.left) == (13, 7), "however old the oldest job is"
    state.ledger.settle(10)
    state.ledger.settle(14)
    state.ledger.advance_to(20)
    assert (state.done, state.left) == (20, 0), "what is at the end are markers"


async def test_a_drain_and_a_rebalance_are_timed_and_overruns_counted() -> None:
    metrics, now = Metrics(), [0.0]
    assignment, (state,) = assigned(ZERO)
    run_job(state, 7, [])
    listener = RebalanceListener(
        assignment,
        cast(Delivery, Commits(assignment, [])),
        0.01,
        metrics,
        lambda _: None,
        clock=Clock(monotonic=lambda: now[0]),
    )

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"classify_{name}", labels)

    assert value("drain_overruns_total", cause="rebalance") == 0
    await listener.on_partitions_revoked({ZERO})
    now[0] = 3.0
    # Joining has failed: aiokafka tells of it again, and nothing was assigned meanwhile.
    await listener.on_partitions_revoked(set())
    now[0] = 5.0
    await listener.on_partitions_assigned({ZERO})
    assert value("drain_overruns_total", cause="rebalance") == 1
    assert value("drain_overruns_total", cause="shutdown") == 0
    assert value("drain_duration_seconds_count", cause="rebalance") == 2
    assert value("rebalance_duration_seconds_count") == 1
    assert value("rebalance_duration_seconds_sum") == 5.0
    run_job(next(iter(assignment)), 8, [])
    delivery = cast(Delivery, Commits(assignment, []))
    await release_partitions(assignment, delivery, 0.0, metrics, "shutdown")
    assert value("drain_overruns_total", cause="shutdown") == 0, "the job got no time at all"
