"""Jobs that come twice, against a naive model."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from worker.clock import Clock
from worker.contract.records import Record
from worker.kafka.duplicates import Claim, Decision, Duplicates, RecentJobs, make_duplicates
from worker.settings import DuplicateSettings

WINDOW, MOST = 60.0, 3
BOUND = 10.0

jobs = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
claims = st.builds(
    lambda partition, offset: Claim(b"%d-%d" % (partition, offset), ("jobs", partition), offset),
    st.integers(0, 1),
    st.integers(0, 2),
)


class RecentJobsMachine(RuleBasedStateMachine):
    """Claims, ends and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.recent = RecentJobs(WINDOW, MOST, Clock(monotonic=lambda: self.now))
        self.running: dict[bytes, Claim] = {}
        self.answered: list[tuple[bytes, bytes, float]] = []

    @rule(job=jobs, claim=claims)
    def claim(self, job: bytes, claim: Claim) -> None:
        self.answered = [each for each in self.answered if each[2] > self.now]
        known = [by for name, by, _ in self.answered if name == job]
        other = self.running.get(job, claim)
        if other != claim:
            waits = other.partition == claim.partition and other.offset < claim.offset
            expected = Decision.WAIT if waits else Decision.RUN_BESIDE
        elif known and known != [claim.name]:
            expected = Decision.DROP
        else:
            expected = Decision.RUN
            self.running[job] = claim
            self.answered = [each for each in self.answered if each[0] != job]
        assert self.recent.claim(job, claim) is expected

    @rule(job=jobs, claim=claims, answered=st.booleans())
    def finish(self, job: bytes, claim: Claim, answered: bool) -> None:
        ours = self.running.get(job) == claim
        assert self.recent.finish(job, claim.name, answered=answered) == ours
        if ours:
            del self.running[job]
            if answered:
                self.answered = [*self.answered, (job, claim.name, self.now + WINDOW)][-MOST:]

    @rule(seconds=st.floats(0.1, 100))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.recent) <= MOST


TestRecentJobs = RecentJobsMachine.TestCase


class Bench:
    """Records that run in tasks of their own until the test ends them."""

    def __init__(self) -> None:
        self.duplicates = Duplicates(WINDOW, 100)
        self.running: asyncio.Queue[int] = asyncio.Queue()
        self._ends: dict[int, asyncio.Future[bool]] = {}

    def send(self, offset: int, job_id: str = "a", partition: int = 0) -> asyncio.Task[bool]:
        """Whether it ran."""
        return asyncio.create_task(self._run(offset, job_id, partition))

    async def starts(self, offset: int) -> None:
        async with asyncio.timeout(BOUND):
            assert await self.running.get() == offset

    def end(self, offset: int, *, answered: bool) -> None:
        self._ends[offset].set_result(answered)

    def fail(self, offset: int) -> None:
        self._ends[offset].set_exception(RuntimeError("a defect"))

    async def _run(self, offset: int, job_id: str, partition: int) -> bool:
        record = Record("jobs", partition, offset, 0, None, b"", ())
        if not await self.duplicates.claim(record, record, job_id):
            self.duplicates.finish(record, answered=False)
            return False
        self._ends[offset] = asyncio.get_running_loop().create_future()
        self.running.put_nowait(offset)
        self.duplicates.finish(record, answered=await self._ends[offset])
        return True


async def test_a_duplicate_waits_for_the_first_and_is_dropped_once_that_is_answered() -> None:
    bench = Bench()
    first = bench.send(1)
    await bench.starts(1)
    others = [bench.send(2), bench.send(3)]
    other_job = bench.send(4, "b")
    await bench.starts(4)
    assert not any(task.done() for task in others)
    bench.end(1, answered=True)
    async with asyncio.timeout(BOUND):
        assert await first
        assert [await task for task in others] == [False, False]
        assert not await bench.send(5)
    bench.end(4, answered=True)
    assert await other_job


async def test_after_a_first_that_failed_the_next_one_runs() -> None:
    bench = Bench()
    first = bench.send(1)
    await bench.starts(1)
    second, third = bench.send(2), bench.send(3)
    bench.end(1, answered=False)
    await bench.starts(2)
    assert not third.done()
    bench.end(2, answered=True)
    async with asyncio.timeout(BOUND):
        assert [await first, await second, await third] == [True, True, False]


@pytest.mark.parametrize("how", ["cancelled", "defect"])
async def test_a_first_that_was_given_up_frees_its_job(how: str) -> None:
    bench = Bench()
    first = bench.send(1)
    await bench.starts(1)
    second = bench.send(2)
    await asyncio.sleep(0)
    if how == "cancelled":
        first.cancel()
    else:
        bench.fail(1)
    await asyncio.wait([first])
    await bench.starts(2)
    bench.end(2, answered=True)
    assert await second
    assert first.cancelled() or first.exception() is not None


async def test_a_record_that_is_delivered_again_runs_again() -> None:
    """What was published for it may not count: its transaction may have been aborted."""
    bench = Bench()
    for _ in range(2):
        first = bench.send(1)
        await bench.starts(1)
        bench.end(1, answered=True)
        assert await first
    assert not await bench.send(2)


@pytest.mark.parametrize(("partition", "offset"), [(1, 9), (0, 4)])
async def test_nobody_waits_for_another_partition_or_for_a_later_record(
    partition: int, offset: int
) -> None:
    """Published in order, that one may wait for this one. So both are done."""
    bench = Bench()
    first = bench.send(5)
    await bench.starts(5)
    other = bench.send(offset, partition=partition)
    await bench.starts(offset)
    bench.end(offset, answered=True)
    assert await other
    behind = bench.send(6)
    await asyncio.sleep(0)
    assert not behind.done(), "it is the first that counts"
    bench.end(5, answered=True)
    async with asyncio.timeout(BOUND):
        assert await first
        assert not await behind
        assert not await bench.send(1, partition=1), "once it is answered, elsewhere as well"


async def test_a_retry_is_in_the_line_of_its_own_partition() -> None:
    duplicates = Duplicates(WINDOW, 100)
    first = Record("jobs", 0, 5, 0, None, b"", ())
    read = Record("later-10s", 0, 1, 0, None, b"", first.headers)
    assert await duplicates.claim(read, first, "a")
    behind = Record("jobs", 0, 6, 0, None, b"", ())
    async with asyncio.timeout(BOUND):
        assert await duplicates.claim(behind, behind, "a"), "it does not wait for the retry"
    duplicates.finish(first, answered=True)
    last = Record("jobs", 0, 7, 0, None, b"", ())
    assert not await duplicates.claim(last, last, "a")


async def test_topics_have_their_own_ids() -> None:
    duplicates = Duplicates(WINDOW, 100)
    for topic in ("a", "b"):
        record = Record(topic, 0, 1, 0, None, b"", ())
        assert await duplicates.claim(record, record, "same")
        duplicates.finish(record, answered=True)


def test_without_a_window_there_is_none() -> None:
    assert make_duplicates(DuplicateSettings()) is None
    assert make_duplicates(DuplicateSettings(window=600.0)) is not None
