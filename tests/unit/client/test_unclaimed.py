"""Results without a correlation id wait for the acknowledgements that may name them."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
from hypothesis import given

from worker.client.unclaimed import Unclaimed
from worker.contract.records import Record


def result(size: int = 10) -> Record:
    return Record("results", 0, 0, 0, None, bytes(size), ())


def test_a_result_is_claimed_once() -> None:
    unclaimed = Unclaimed(100)
    first = result()
    unclaimed.hold("jobs-0-1", first, newest=1)
    unclaimed.hold("jobs-0-1", result(), newest=1)
    assert unclaimed.claim("jobs-0-1") is first
    assert unclaimed.claim("jobs-0-1") is None


def test_a_result_is_kept_until_the_jobs_are_sent_that_were_being_sent_when_it_came() -> None:
    unclaimed = Unclaimed(100)
    unclaimed.hold("jobs-0-1", result(), newest=3)
    unclaimed.drop_before(3)  # job 3 is still being sent
    assert unclaimed.claim("jobs-0-1") is not None
    unclaimed.hold("jobs-0-1", result(), newest=3)
    unclaimed.drop_before(4)
    assert unclaimed.claim("jobs-0-1") is None
    unclaimed.hold("jobs-0-1", result(), newest=4)
    unclaimed.drop_before(None)
    assert unclaimed.claim("jobs-0-1") is None


def test_it_is_full_at_its_limit_and_has_room_again() -> None:
    unclaimed = Unclaimed(20)
    states: list[bool] = []
    steps: tuple[Callable[[], object], ...] = (
        lambda: unclaimed.hold("jobs-0-1", result(), newest=1),
        lambda: unclaimed.hold("jobs-0-2", result(), newest=2),
        lambda: unclaimed.claim("jobs-0-1"),
        lambda: unclaimed.hold("jobs-0-3", result(), newest=2),
        lambda: unclaimed.drop_before(3),
    )
    for step in steps:
        step()
        states.append(unclaimed.full)
    assert states == [False, True, False, True, False]


@given(st.lists(st.integers(0, 30), max_size=30), st.lists(st.integers(0, 30), max_size=10))
def test_bytes_are_those_of_what_is_held(sizes: list[int], claimed: list[int]) -> None:
    unclaimed = Unclaimed(1)
    for number, size in enumerate(sizes):
        unclaimed.hold(f"jobs-0-{number}", result(size), newest=number)
    left = {number: size for number, size in enumerate(sizes) if number not in claimed}
    for number in claimed:
        unclaimed.claim(f"jobs-0-{number}")
    assert unclaimed.full == any(left.values())
    unclaimed.drop_before(None)
    assert not unclaimed.full
