"""Reservations against any order of events, and who is woken when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.budget import Budget, Reservation


async def woken(waiting: asyncio.Task[None]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return waiting.done()


def test_a_reservation_counts_a_job_and_its_bytes() -> None:
    budget = Budget(3, 100)
    held = budget.reserve(40)
    assert (budget.jobs, budget.bytes, budget.free_jobs) == (1, 40, 2)
    held.add(20)
    held.add(-30)
    assert budget.bytes == 30
    held.release()
    assert (budget.jobs, budget.bytes, budget.free_jobs) == (0, 0, 3)


@pytest.mark.parametrize(
    ("max_jobs", "jobs", "crowded"),
    [
        (512, 127, False),
        (512, 128, True),
        (100, 63, False),
        (100, 64, True),
        (10, 10, False),
    ],
)
def test_a_crowd_is_many_and_much_of_the_most(max_jobs: int, jobs: int, crowded: bool) -> None:
    budget = Budget(max_jobs, 100)
    for _ in range(jobs):
        budget.reserve(0)
    assert budget.crowded is crowded


def test_releasing_twice_gives_back_once_and_late_bytes_count_nothing() -> None:
    budget = Budget(3, 100)
    other, held = budget.reserve(1), budget.reserve(40)
    held.release()
    held.release()
    held.add(50)
    assert (budget.jobs, budget.bytes) == (1, 1)
    other.release()
    assert (budget.jobs, budget.bytes) == (0, 0)


@pytest.mark.parametrize(("held", "free"), [(99, 2), (100, 0), (101, 0)])
def test_used_up_bytes_leave_no_room_for_a_job(held: int, free: int) -> None:
    budget = Budget(3, 100)
    budget.reserve(held)
    assert budget.free_jobs == free


def test_what_is_polled_already_is_taken_beyond_the_limit() -> None:
    budget = Budget(1, 100)
    budget.reserve(1)
    budget.reserve(1)
    assert (budget.jobs, budget.free_jobs) == (2, 0)


async def test_waiting_ends_when_something_is_given_back() -> None:
    budget = Budget(1, 100)
    held = budget.reserve(10)
    ways: list[Callable[[], None]] = [lambda: held.add(-1), held.release]
    for give_back in ways:
        waiting = asyncio.create_task(budget.wait_freed())
        assert not await woken(waiting)
        budget.reserve(5)
        held.add(3)
        assert not await woken(waiting), "taking more frees nothing"
        give_back()
        assert await woken(waiting)


async def test_all_who_wait_are_woken() -> None:
    budget = Budget(1, 100)
    held = budget.reserve(10)
    waiting = [asyncio.create_task(budget.wait_freed()) for _ in range(3)]
    await asyncio.sleep(0)
    held.release()
    assert all([await woken(task) for task in waiting])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reserve", "add", "release"]),
            st.integers(0, 50),
            st.integers(-20, 50),
        ),
        max_size=60,
    )
)
def test_any_order_of_events_adds_up(events: list[tuple[str, int, int]]) -> None:
    budget = Budget(10, 200)
    model: dict[int, int] = {}
    made: list[Reservation] = []
    for name, which, nbytes in events:
        if name == "reserve":
            model[len(made)] = abs(nbytes)
            made.append(budget.reserve(abs(nbytes)))
        elif made and name == "add":
            number = which % len(made)
            made[number].add(nbytes)
            if number in model:
                model[number] += nbytes
        elif made:
            number = which % len(made)
            made[number].release()
            model.pop(number, None)
        assert budget.jobs == len(model)
        assert budget.bytes == sum(model.values())
    for held in made:
        held.release()
    assert (budget.jobs, budget.bytes, budget.free_jobs) == (0, 0, 10)
