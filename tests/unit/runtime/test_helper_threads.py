"""Threads that help another one are kept off its core, on machines of every size."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator

import pytest

from worker.runtime.helper_threads import (
    AT_ONCE,
    HelperThreads,
    current_core,
    is_here,
    other_threads,
)

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot place threads"
)

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CALLER = 0
"""What the kernel's functions take for the thread that calls."""


class Machine:
    """Cores that a process may use, and its threads: what the kernel knows of them.

    Attributes:
        masks: the cores of each thread, the caller's by `CALLER`.
        placed: the threads whose cores were changed, in order.
    """

    def __init__(self, cores: Collection[int], threads: int) -> None:
        self.core = min(cores)
        self.masks = {thread: set(cores) for thread in range(threads + 1)}
        self.placed: list[int] = []
        self.looks = 0

    @property
    def others(self) -> frozenset[int]:
        return frozenset(self.masks) - {CALLER}

    def cores_of(self, thread: int) -> set[int]:
        self.looks += thread != CALLER
        if thread not in self.masks:
            raise ProcessLookupError
        return set(self.masks[thread])

    def place(self, thread: int, cores: Collection[int]) -> None:
        assert cores, "the kernel refuses to leave a thread without a core"
        if thread not in self.masks:
            raise ProcessLookupError
        self.masks[thread] = set(cores)
        self.placed.append(thread)

    def kept_off(self) -> set[frozenset[int]]:
        return {frozenset(self.masks[CALLER] - self.masks[each]) for each in self.others}

    def helpers(self) -> HelperThreads:
        return HelperThreads(self.others, lambda: self.core, lambda thread: thread in self.masks)


@pytest.fixture
def make_machine(monkeypatch: pytest.MonkeyPatch) -> type[Machine]:
    """`Machine`, the last of which is the one that the kernel's functions are about."""

    class Made(Machine):
        def __init__(self, cores: Collection[int], threads: int) -> None:
            super().__init__(cores, threads)
            monkeypatch.setattr(os, "sched_getaffinity", self.cores_of)
            monkeypatch.setattr(os, "sched_setaffinity", self.place)

    return Made


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


def test_the_others_are_all_threads_but_the_caller(helper: int) -> None:
    assert helper in other_threads()
    assert threading.get_native_id() not in other_threads()


def test_a_thread_of_this_process_is_told_from_another_one_s(helper: int) -> None:
    assert is_here(helper)
    assert not is_here(os.getppid())


def test_the_core_of_the_caller_is_one_that_it_may_run_on() -> None:
    assert current_core() in CORES


@pytest.mark.parametrize("core", [CORES[:1], CORES[-1:]])
def test_helpers_run_anywhere_but_on_the_core_of_the_caller(helper: int, core: list[int]) -> None:
    helpers = HelperThreads({helper}, lambda: core[0])
    helpers.leave_core()
    # With one core there is no other.
    assert os.sched_getaffinity(helper) == (set(CORES) - set(core) or set(CORES))
    assert os.sched_getaffinity(0) == set(CORES)
    helpers.run_anywhere()
    assert os.sched_getaffinity(helper) == set(CORES)


# Of all cores, and of those that a container may use.
@pytest.mark.parametrize("cores", [range(2), range(4), range(16), range(64), [3, 5], range(8, 12)])
def test_all_follow_when_the_caller_moves_on_any_machine(
    make_machine: type[Machine], cores: Collection[int]
) -> None:
    machine = make_machine(cores, len(cores) - 1)
    helpers = machine.helpers()
    for machine.core in (min(cores), max(cores), min(cores)):
        for _ in range(0, len(cores) - 1, AT_ONCE):
            helpers.leave_core()
        assert machine.kept_off() == {frozenset({machine.core})}
        assert machine.masks[CALLER] == set(cores)
    for _ in range(0, len(cores) - 1, AT_ONCE):
        helpers.run_anywhere()
    assert machine.kept_off() == {frozenset()}


@pytest.mark.parametrize("threads", [10, 15, 16, 30])
def test_images_alone_and_batches_in_turn_reach_all_threads(
    make_machine: type[Machine], threads: int
) -> None:
    machine = make_machine(range(8), threads)
    helpers = machine.helpers()
    off, anywhere = set(), set()
    for machine.core in (0, 1) * threads:
        helpers.leave_core()
        off |= {each for each in machine.others if machine.core not in machine.masks[each]}
        helpers.run_anywhere()
        anywhere |= {each for each in machine.others if len(machine.masks[each]) == len(range(8))}
    assert off == anywhere == machine.others


def test_a_call_looks_at_a_bounded_number_of_threads(make_machine: type[Machine]) -> None:
    machine = make_machine(range(256), 255)
    machine.helpers().leave_core()
    assert machine.looks == AT_ONCE
    assert len(set(machine.placed)) == AT_ONCE


def test_where_all_is_as_it_should_be_nothing_is_set(make_machine: type[Machine]) -> None:
    machine = make_machine(range(4), 3)
    helpers = machine.helpers()
    helpers.leave_core()
    assert len(machine.placed) == 3
    helpers.leave_core()
    assert len(machine.placed) == 3


def test_cores_that_a_library_gave_a_thread_meanwhile_do_not_last(
    make_machine: type[Machine],
) -> None:
    # OpenVINO gives a thread that rests the cores back which it had when it began to work.
    machine = make_machine(range(2), 1)
    helpers = machine.helpers()
    helpers.leave_core()
    machine.masks[1] = {0, 1}
    helpers.leave_core()
    assert machine.masks[1] == {1}


def test_an_id_that_is_another_process_s_by_now_is_left_alone(
    make_machine: type[Machine],
) -> None:
    machine = make_machine(range(4), 2)
    HelperThreads({1, 2}, lambda: 0, lambda thread: thread == 1).leave_core()
    assert machine.placed == [1]


def test_a_thread_that_has_ended_is_no_error(make_machine: type[Machine]) -> None:
    machine = make_machine(range(4), 2)
    HelperThreads({1, 2, 3}, lambda: 0, lambda _: True).leave_core()
    assert machine.kept_off() == {frozenset({0})}


@pytest.mark.parametrize(("cores", "core"), [([0], 0), ([0, 1], -1)])
def test_nothing_is_done_without_another_core_or_where_the_system_does_not_tell(
    make_machine: type[Machine], cores: list[int], core: int
) -> None:
    machine = make_machine(cores, 1)
    helpers = HelperThreads(machine.others, lambda: core)
    helpers.leave_core()
    helpers.run_anywhere()
    assert machine.looks == 0


def test_who_was_kept_off_no_core_is_not_looked_at(make_machine: type[Machine]) -> None:
    machine = make_machine(range(4), 3)
    machine.helpers().run_anywhere()
    assert machine.looks == 0
