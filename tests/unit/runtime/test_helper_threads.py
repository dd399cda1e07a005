"""Threads that help another one are kept off its core, and no others."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from worker.runtime.helper_threads import HelperThreads, current_core, thread_ids

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot place threads"
)

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@pytest.fixture
def helper() -> Iterator[int]:
    """The id of a thread that waits."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(60,))
    thread.start()
    assert thread.native_id is not None
    yield thread.native_id
    done.set()
    thread.join()


def test_threads_that_began_meanwhile_are_found(helper: int) -> None:
    assert {helper, threading.get_native_id()} <= thread_ids()


def test_the_core_of_the_caller_is_one_that_it_may_run_on() -> None:
    assert current_core() in CORES


@pytest.mark.parametrize("core", [CORES[:1], CORES[-1:]])
def test_helpers_run_anywhere_but_on_the_core_of_the_caller(helper: int, core: list[int]) -> None:
    HelperThreads({helper}, lambda: core[0]).leave_core()
    # With one core there is no other.
    assert os.sched_getaffinity(helper) == (set(CORES) - set(core) or set(CORES))
    assert os.sched_getaffinity(0) == set(CORES)


def test_helpers_follow_when_the_caller_moves(helper: int) -> None:
    cores = iter([CORES[0], CORES[-1], CORES[0]])
    helpers = HelperThreads({helper}, lambda: next(cores))
    for core in (CORES[0], CORES[-1], CORES[0]):
        helpers.leave_core()
        assert os.sched_getaffinity(helper) == (set(CORES) - {core} or set(CORES))


def test_an_id_that_is_another_process_s_by_now_is_left_alone() -> None:
    # The parent stands for the other program: its id is none of this process's threads.
    before = os.sched_getaffinity(os.getppid())
    HelperThreads({os.getppid()}, lambda: CORES[0]).leave_core()
    assert os.sched_getaffinity(os.getppid()) == before


@pytest.mark.parametrize("core", [-1, CORES[0] if CORES else 0])
def test_nothing_is_asked_where_nothing_is_to_be_done(core: int) -> None:
    HelperThreads((), lambda: core).leave_core()
    HelperThreads({threading.get_native_id()}, lambda: -1).leave_core()
    assert os.sched_getaffinity(0) == set(CORES)
