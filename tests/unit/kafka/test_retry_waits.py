"""When retry partitions are read: by clocks that the test moves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from worker.budget import Budget
from worker.clock import Clock
from worker.contract.records import Record
from worker.kafka.assignment import PartitionState
from worker.kafka.retry_share import RetryShare
from worker.kafka.retry_waits import RetryWaits

DELAY = 100.0
RETRIES = TopicPartition("later-100s", 0)


class Bench:
    """One retry partition, and both clocks."""

    def __init__(self, offset_of_clocks: float = 1_000_000.0) -> None:
        self.now = 50.0
        self.skew = offset_of_clocks
        clock = Clock(monotonic=lambda: self.now, wall=lambda: self.now + self.skew)
        self.waits = RetryWaits({RETRIES.topic: DELAY}, clock)
        self.state = PartitionState(RETRIES, end_known_at=self.now)

    def record(self, offset: int, due: float | None) -> Record:
        """A record that is due in `due` seconds; None has no such header."""
        headers: Sequence[tuple[str, bytes]] = ()
        if due is not None:
            milliseconds = round((self.now + self.skew + due) * 1000)
            headers = (("job-retry-not-before-ms", b"%d" % milliseconds),)
        return Record(RETRIES.topic, 0, offset, 0, None, b"", headers)

    def taken(self, *records: Record) -> list[int]:
        return [record.offset for record in self.waits.take_due(self.state, records)]

    def waiting(self) -> bool:
        return self.waits.is_waiting(self.state)


def test_only_retry_topics_are_its_concern() -> None:
    bench = Bench()
    jobs = PartitionState(TopicPartition("jobs", 0))
    assert bench.waits.concern(bench.state)
    assert not bench.waits.concern(jobs)
    assert not bench.waits.is_waiting(jobs)


def test_a_partition_waits_from_the_first_record_that_is_not_due() -> None:
    bench = Bench()
    assert bench.waits.soonest(0.5) == 0.5
    assert bench.taken(bench.record(3, -1), bench.record(4, 30), bench.record(5, -1)) == [3]
    assert bench.waiting()
    assert bench.waits.soonest(0.5) == 0.5
    bench.now += 29.9
    assert bench.waiting()
    assert bench.waits.soonest(0.5) == pytest.approx(0.1)
    bench.now += 0.1
    assert not bench.waiting()
    assert bench.waits.soonest(0.5) == 0.5


def test_it_waits_for_a_part_of_its_delay_at_least_since_each_wait_costs_a_fetch() -> None:
    bench = Bench()
    assert bench.taken(bench.record(3, 0.001)) == []
    bench.now += DELAY / 20 - 0.1
    assert bench.waiting()
    bench.now += 0.1
    assert not bench.waiting()


def test_a_record_without_a_time_does_not_wait() -> None:
    bench = Bench()
    assert bench.taken(bench.record(3, None)) == [3]
    assert not bench.waiting()


def test_a_time_in_the_far_future_holds_a_record_for_the_delay_and_no_longer() -> None:
    bench = Bench()
    forged = bench.record(3, 10.0**9)
    assert bench.taken(forged) == []
    bench.now += DELAY - 1
    assert bench.waiting()
    bench.now += 1
    assert not bench.waiting()
    assert bench.taken(forged) == [3]


def test_a_wall_clock_that_is_set_back_does_not_begin_a_wait_again() -> None:
    bench = Bench()
    record = bench.record(3, 30)
    assert bench.taken(record) == []
    bench.now += 30
    bench.skew -= 10_000
    assert not bench.waiting()
    assert bench.taken(record) == [3]


def test_records_that_were_there_a_delay_ago_are_due_whatever_they_say() -> None:
    """Or one clock that is wrong would let through one record a delay."""
    bench = Bench()
    bench.state.note_end(10, bench.now)
    forged = [bench.record(offset, 10.0**9) for offset in range(12)]
    assert not bench.waiting()
    assert bench.taken(*forged) == []
    bench.now += DELAY
    bench.state.note_end(12, bench.now)
    assert not bench.waiting()
    assert bench.taken(*forged) == list(range(10))
    assert bench.waiting()


def test_a_new_assignment_begins_without_waits() -> None:
    bench = Bench()
    assert bench.taken(bench.record(3, 30)) == []
    assert bench.waiting()
    bench.state = PartitionState(RETRIES)
    assert not bench.waiting()


@given(
    st.lists(st.tuples(st.floats(-500, 10**9), st.floats(0, 300)), min_size=1, max_size=30),
    st.floats(-(10**6), 10**6),
)
def test_no_record_waits_for_much_longer_than_its_delay(
    steps: list[tuple[float, float]], skew: float
) -> None:
    """Whatever the headers say, and however the clocks differ."""
    bench = Bench(10**7 + skew)
    log: list[tuple[Record, float]] = []
    position = 0
    for due, pause in steps:
        log.append((bench.record(len(log), due), bench.now))
        bench.state.note_end(len(log), bench.now)
        end_of_step = bench.now + pause
        while bench.now <= end_of_step:
            if not bench.waiting():
                ahead = [record for record, _ in log[position:]]
                for offset in bench.taken(*ahead):
                    assert offset == position
                    assert bench.now - log[offset][1] <= DELAY * 1.2
                    position += 1
            bench.now += DELAY / 20
            bench.state.note_end(len(log), bench.now)
    bench.now += DELAY * 1.1
    bench.waiting()
    bench.now += DELAY * 1.1
    assert not bench.waiting()
    assert len(bench.taken(*(record for record, _ in log[position:]))) == len(log) - position


class Task:
    """Ends when the test says."""

    def add_done_callback(self, callback: object) -> None:
        self.end = callback


def free(share: RetryShare) -> int:
    return share.free_jobs


def test_retries_take_a_quarter_of_the_worker_and_no_more() -> None:
    share = RetryShare(Budget(max_jobs=40, max_bytes=400))
    tasks = []
    while free(share):
        tasks.append(Task())
        share.take(1, tasks[-1])  # type: ignore[arg-type]
    assert len(tasks) == 6, "past half of ten"
    tasks.pop().end(None)  # type: ignore[operator]
    assert free(share) == 5


def test_retries_take_a_quarter_of_the_bytes() -> None:
    share = RetryShare(Budget(max_jobs=40, max_bytes=400))
    large = Task()
    share.take(100, large)  # type: ignore[arg-type]
    assert free(share) == 0
    large.end(None)  # type: ignore[operator]
    assert free(share) == 10


def test_the_smallest_worker_takes_one_retry_at_a_time() -> None:
    share = RetryShare(Budget(max_jobs=1, max_bytes=1))
    assert free(share) == 1
    task = Task()
    share.take(100, task)  # type: ignore[arg-type]
    assert free(share) == 0
