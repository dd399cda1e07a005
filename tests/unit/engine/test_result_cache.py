"""What is kept, what is computed once, and that nobody has to wait for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.clock import Clock
from worker.contract.jobs import Category, Success
from worker.engine.result_cache import CATEGORY_BYTES, ENTRY_BYTES, Computed, Key, ResultCache
from worker.errors import JobError, Reason
from worker.metrics import Metrics
from worker.metrics.answers import Answered, Counted
from worker.settings import ResultCacheSettings

BOUND = 30.0
NOW = 1000.0
PATIENCE = 30.0
CAT = Category(5, "cat", 0.75)
POISON = JobError(Reason.POISON, "it breaks the network")
METRICS = Metrics()
SHORTAGE = JobError(Reason.UNAVAILABLE, "no memory", transient=True)


def key(content: int) -> Key:
    return Key(bytes([content]), "sha256:0", 5)


def computed(metrics: Metrics, picture: bytes | None = None) -> Computed:
    counter = metrics.predictions.labels("sha256:0", "cat")
    return Computed(Success((CAT,), picture), Answered(lambda: Counted(counter, ())))


class Job:
    """A job on its way through a cache, whose computation ends when the test says so."""

    def __init__(
        self,
        cache: Cache,
        urgency: float = NOW,
        deadline: float | None = None,
        form: type = bytes,
        content: int = 0,
    ) -> None:
        self.computes = False
        self.ends: asyncio.Future[Computed] = asyncio.get_running_loop().create_future()
        call = cache.cache.get(key(content), form, urgency, deadline, self._compute)
        self.task = asyncio.create_task(call)

    async def _compute(self) -> Computed:
        self.computes = True
        return await self.ends

    async def result(self) -> Computed:
        return await asyncio.wait_for(self.task, BOUND)

    async def failure(self) -> JobError:
        with pytest.raises(JobError) as raised:
            await self.result()
        return raised.value


class Cache:
    """A cache and what it counts."""

    def __init__(
        self, patience: float = PATIENCE, metrics: Metrics | None = None, **bounds: int
    ) -> None:
        self.metrics = metrics or Metrics()
        self.now = NOW
        self.answer = computed(self.metrics)
        self.cache = ResultCache(
            ResultCacheSettings(**{"max_entries": 10} | bounds),
            patience,
            self.metrics,
            clock=Clock(wall=lambda: self.now),
        )

    async def jobs(self, count: int) -> list[Job]:
        """Jobs with the same image, of which the first computes."""
        jobs = [Job(self, NOW + number) for number in range(count)]
        await turn()
        assert [job.computes for job in jobs] == [True] + [False] * (count - 1)
        return jobs

    async def keep(self, content: int, nbytes: int = 0) -> Computed:
        answer = computed(self.metrics, bytes(nbytes))
        job = Job(self, content=content)
        job.ends.set_result(answer)
        return await job.result()

    def counted(self) -> tuple[float, ...]:
        """How many were hits, shared, and misses."""
        return tuple(
            self.value("classify_result_cache_lookups_total", outcome=outcome)
            for outcome in ("hit", "shared", "miss")
        )

    def value(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None
        return value


async def turn() -> None:
    """Lets every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Lets tasks go on, and time-outs of 0 s pass, until a condition holds."""
    async with asyncio.timeout(BOUND):
        while not condition():
            await turn()


async def test_what_was_computed_is_there_for_the_next_job() -> None:
    cache = Cache()
    (first,) = await cache.jobs(1)
    first.ends.set_result(cache.answer)
    assert await first.result() is cache.answer
    again = Job(cache)
    assert await again.result() is cache.answer
    other = Job(cache, content=1)
    await turn()
    assert (again.computes, other.computes) == (False, True)
    other.task.cancel()
    assert cache.counted() == (1, 0, 2)


async def test_jobs_under_way_with_one_image_compute_once_and_all_count() -> None:
    cache = Cache()
    jobs = await cache.jobs(4)
    jobs[0].ends.set_result(cache.answer)
    for job in jobs:
        assert await job.result() is cache.answer
    assert cache.counted() == (0, 3, 1)
    # The job that computes counts its own answer.
    assert cache.value("classify_predictions_total", **{"digest": "sha256:0", "class": "cat"}) == 3


async def test_when_the_first_is_withdrawn_one_other_takes_over() -> None:
    cache = Cache()
    first, *others = await cache.jobs(4)
    first.task.cancel()
    await turn()
    assert [job.computes for job in others] == [True, False, False]
    others[0].ends.set_result(cache.answer)
    for job in others:
        assert await job.result() is cache.answer


async def test_one_that_waits_may_be_withdrawn() -> None:
    cache = Cache()
    first, second, third = await cache.jobs(3)
    second.task.cancel()
    await turn()
    assert second.task.cancelled()
    first.ends.set_result(cache.answer)
    assert await third.result() is cache.answer


@pytest.mark.parametrize("error", [SHORTAGE, RuntimeError("a defect"), MemoryError()])
async def test_when_the_first_fails_for_another_reason_each_computes(error: Exception) -> None:
    cache = Cache()
    first, *others = await cache.jobs(3)
    first.ends.set_exception(error)
    await turn()
    assert [job.computes for job in others] == [True, True]
    for job in others:
        job.ends.set_result(cache.answer)
        assert await job.result() is cache.answer
    with pytest.raises(type(error)):
        await first.result()


async def test_an_image_at_fault_is_computed_once_and_no_failure_is_kept() -> None:
    cache = Cache()
    first, *others = await cache.jobs(4)
    first.ends.set_exception(POISON)
    failures = [await job.failure() for job in others]
    assert await first.failure() is POISON
    assert [failure.as_failure() for failure in failures] == [POISON.as_failure()] * 3
    # Raised anew, since tracebacks grow with each job that raises the same error.
    assert len({id(failure) for failure in (POISON, *failures)}) == 4
    assert not any(job.computes for job in others)
    later = Job(cache)
    await turn()
    assert later.computes
    later.task.cancel()


async def test_a_fault_of_one_form_says_nothing_of_another() -> None:
    cache = Cache()
    jobs = [Job(cache, NOW, form=form) for form in (bytes, str, str)]
    await turn()
    jobs[0].ends.set_exception(POISON)
    await turn()
    assert [job.computes for job in jobs] == [True, True, False]
    other = JobError(Reason.TOO_LARGE, "the text is too long")
    jobs[1].ends.set_exception(other)
    assert [(await job.failure()).message for job in jobs] == [
        POISON.message,
        other.message,
        other.message,
    ]


async def test_a_job_that_is_more_urgent_does_not_wait() -> None:
    cache = Cache()
    (first,) = await cache.jobs(1)
    urgent = Job(cache, urgency=NOW - 1)
    later = Job(cache, urgency=NOW + 1)
    await turn()
    assert (urgent.computes, later.computes) == (True, False)
    urgent.ends.set_result(cache.answer)
    assert await urgent.result() is await later.result() is cache.answer
    first.ends.set_result(computed(cache.metrics))
    assert await first.result() is not cache.answer


async def test_one_that_ends_without_a_result_leaves_the_others_to_who_still_computes() -> None:
    cache = Cache()
    (first,) = await cache.jobs(1)
    urgent = Job(cache, urgency=NOW - 1)
    later = Job(cache, urgency=NOW + 1)
    await turn()
    urgent.ends.set_exception(SHORTAGE)
    await urgent.failure()
    await turn()
    assert not later.computes
    first.ends.set_result(cache.answer)
    assert await later.result() is cache.answer


async def test_a_job_waits_for_no_more_than_half_of_its_time() -> None:
    cache = Cache()
    (first,) = await cache.jobs(1)
    # Of no time it is half; a test that waits for a part of some would depend on the machine.
    hurried = Job(cache, urgency=NOW, deadline=NOW)
    await until(lambda: hurried.computes)
    hurried.ends.set_result(cache.answer)
    assert await hurried.result() is cache.answer
    assert not first.task.done()
    first.task.cancel()


@pytest.mark.parametrize(("deadline", "seconds"), [(None, 15.0), (NOW + 8, 4.0), (NOW - 1, 0.0)])
def test_the_time_that_a_job_waits(deadline: float | None, seconds: float) -> None:
    assert Cache().cache._wait(deadline) == seconds


async def test_without_a_deadline_a_job_does_not_wait_forever() -> None:
    cache = Cache(patience=0.0)
    (first,) = await cache.jobs(1)
    second = Job(cache)
    await until(lambda: second.computes)
    second.ends.set_result(cache.answer)
    assert await second.result() is cache.answer
    first.task.cancel()


async def test_when_nobody_ends_everybody_computes_in_the_end() -> None:
    cache = Cache(patience=0.0)
    jobs = [Job(cache) for _ in range(30)]
    await until(lambda: all(job.computes for job in jobs))
    jobs[7].ends.set_result(cache.answer)
    assert await jobs[7].result() is cache.answer
    for job in jobs:
        job.task.cancel()
    await asyncio.gather(*(job.task for job in jobs), return_exceptions=True)
    assert await Job(cache).result() is cache.answer


async def test_the_one_not_used_for_the_longest_time_goes_first() -> None:
    cache = Cache(max_entries=2)
    kept = [await cache.keep(content) for content in range(2)]
    assert await cache.keep(0) is kept[0]
    await cache.keep(2)
    assert await cache.keep(0) is kept[0]
    assert await cache.keep(1) is not kept[1]
    assert cache.value("classify_result_cache_entries") == 2


async def test_bytes_are_bounded_and_what_alone_is_too_large_is_not_kept() -> None:
    one = ENTRY_BYTES + CATEGORY_BYTES
    cache = Cache(max_bytes=2 * one + 150)
    kept = [await cache.keep(content, 100) for content in range(2)]
    assert cache.value("classify_result_cache_bytes") == one + 100, "the second took its place"
    assert await cache.keep(1) is kept[1]
    await cache.keep(2, 2 * one)
    assert await cache.keep(1) is kept[1]
    assert cache.value("classify_result_cache_entries") == 1


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2000)), max_size=40),
    st.integers(1, 4),
    st.integers(500, 4000),
)
def test_the_bounds_hold_whatever_comes(
    jobs: list[tuple[int, int]], entries: int, nbytes: int
) -> None:
    async def run() -> None:
        cache = Cache(metrics=METRICS, max_entries=entries, max_bytes=nbytes)
        for content, size in jobs:
            await cache.keep(content, size)
            kept = cache.cache._kept.values()
            assert len(kept) <= entries
            assert sum(each.nbytes for each in kept) == cache.cache._bytes <= nbytes

    asyncio.run(run())
