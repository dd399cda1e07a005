"""Which result belongs to which job."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
from hypothesis import given

from worker.client.outstanding import Outstanding, PendingJob


def waiting(number: int) -> PendingJob:
    # Nothing waits for it here, so any loop will do.
    return PendingJob(f"run-{number}", asyncio.Future(loop=LOOP))


LOOP = asyncio.new_event_loop()
LOOP.close()


def test_a_result_may_come_before_its_job_is_acknowledged() -> None:
    outstanding = Outstanding()
    job = waiting(1)
    outstanding.add(job)
    assert outstanding.take("run-1", "jobs-0-7") is job
    outstanding.locate(job, "jobs-0-7")
    assert job.record_id == "jobs-0-7"
    assert outstanding.take(None, "jobs-0-7") is None
    assert outstanding.take_all() == []


def test_a_result_without_correlation_is_known_by_its_record() -> None:
    outstanding = Outstanding()
    job = waiting(1)
    outstanding.add(job)
    assert outstanding.take(None, "jobs-0-7") is None
    outstanding.locate(job, "jobs-0-7")
    assert outstanding.take(None, "jobs-0-7") is job


def test_a_second_delivery_and_results_of_others_are_nobodys() -> None:
    outstanding = Outstanding()
    outstanding.add(waiting(1))
    assert outstanding.take("other-1", "jobs-0-3") is None
    assert outstanding.take(None, None) is None
    assert outstanding.take("run-1", None) is not None
    assert outstanding.take("run-1", None) is None


def test_a_job_that_is_no_longer_wanted_gets_nothing() -> None:
    outstanding = Outstanding()
    given_up, acknowledged = waiting(1), waiting(2)
    for job in (given_up, acknowledged):
        outstanding.add(job)
    outstanding.locate(acknowledged, "jobs-0-2")
    outstanding.forget(given_up)
    outstanding.forget(acknowledged)
    outstanding.forget(acknowledged)
    outstanding.locate(given_up, "jobs-0-1")
    assert [outstanding.take(f"run-{n}", f"jobs-0-{n}") for n in (1, 2)] == [None, None]


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
def test_each_job_goes_exactly_once(
    order: list[int], answered: set[int], acknowledged: set[int]
) -> None:
    outstanding = Outstanding()
    jobs = [waiting(number) for number in range(8)]
    for job in jobs:
        outstanding.add(job)
    for number in order:
        if number in acknowledged:
            outstanding.locate(jobs[number], f"jobs-0-{number}")
    by_either = [
        outstanding.take(None, f"jobs-0-{n}")
        if n in acknowledged
        else outstanding.take(f"run-{n}", None)
        for n in answered
    ]
    assert by_either == [jobs[number] for number in answered]
    assert outstanding.take_all() == [jobs[n] for n in range(8) if n not in answered]
    assert outstanding.take_all() == []
