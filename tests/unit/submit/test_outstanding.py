"""Which result belongs to which job, and when a job has waited long enough."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from worker.submit.items import Encoding, Item
from worker.submit.outstanding import Outstanding, PendingJob


def _item(number: int) -> Item:
    return Item(f"{number}.jpg", Path("x"), Encoding.BASE64)


def waiting(number: int) -> PendingJob:
    return PendingJob(
        number, f"run-{number}", Item(f"{number}.jpg", Path("x"), Encoding.BASE64), 0.0
    )


def test_a_result_may_come_before_its_job_is_acknowledged() -> None:
    outstanding = Outstanding()
    job = waiting(1)
    outstanding.add(job)
    assert outstanding.take("run-1", "jobs-0-7") is job
    outstanding.locate("run-1", "jobs-0-7", expires=1.0)
    assert outstanding.take(None, "jobs-0-7") is None
    assert outstanding.take_expired(9.0) == []


def test_a_result_without_correlation_is_known_by_its_record() -> None:
    outstanding = Outstanding()
    job = waiting(1)
    outstanding.add(job)
    assert outstanding.take(None, "jobs-0-7") is None
    outstanding.locate("run-1", "jobs-0-7", expires=1.0)
    assert outstanding.take(None, "jobs-0-7") is job


def test_a_second_delivery_and_results_of_others_are_nobodys() -> None:
    outstanding = Outstanding()
    outstanding.add(waiting(1))
    assert outstanding.take("other-1", "jobs-0-3") is None
    assert outstanding.take(None, None) is None
    assert outstanding.take("run-1", None) is not None
    assert outstanding.take("run-1", None) is None


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)), st.integers(0, 8))
def test_each_job_goes_exactly_once(order: list[int], answered: set[int], now: int) -> None:
    outstanding = Outstanding()
    for number in range(8):
        outstanding.add(waiting(number))
    for tick, number in enumerate(order):
        outstanding.locate(f"run-{number}", f"jobs-0-{number}", expires=tick)
    taken = [outstanding.take(f"run-{number}", None) for number in answered]
    expired = outstanding.take_expired(now)
    assert [job.number for job in taken if job is not None] == list(answered)
    assert [job.number for job in expired] == [
        number for tick, number in enumerate(order) if tick <= now and number not in answered
    ]
    left = [outstanding.take(f"run-{number}", None) for number in range(8)]
    gone = answered | {job.number for job in expired}
    assert {job.number for job in left if job is not None} == set(range(8)) - gone
