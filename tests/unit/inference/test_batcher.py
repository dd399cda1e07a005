"""Batches without real time: the clock and its timers are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.inference.batcher import Batch, Batcher, CloseReason, Ticket


class Timers:
    """Seconds that pass when the test says so, and the timers that then are due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.cancelled = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        entry = (when, callback)
        self.timers.append(entry)
        clock = self

        class Handle:
            def cancel(self) -> None:
                if entry in clock.timers:
                    clock.timers.remove(entry)
                    clock.cancelled += 1

        return cast(asyncio.TimerHandle, Handle())

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [entry for entry in self.timers if entry[0] <= self.now]
        for entry in due:
            self.timers.remove(entry)
            entry[1]()
        await quiet()


async def quiet() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Timers:
    return Timers()


def make(clock: Timers, max_batch: int = 4, linger: float = 0.0) -> Batcher[str, str]:
    return Batcher(max_batch, linger, timers=clock)


class Slots:
    """Free slots that wait for one batch each."""

    def __init__(self, batcher: Batcher[str, str], count: int) -> None:
        self.tasks = [asyncio.create_task(batcher.take()) for _ in range(count)]

    def batches(self) -> list[list[str]]:
        return [items(task.result()) for task in self.tasks if task.done()]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def items(batch: Batch[str, str]) -> list[str]:
    return [ticket.item for ticket in batch.tickets]


async def taken(batcher: Batcher[str, str]) -> Batch[str, str]:
    """The batch that is due now; a test that would have to wait for it fails."""
    task = asyncio.create_task(batcher.take())
    await quiet()
    assert task.done(), "no batch is due"
    return task.result()


async def test_late_binding_what_comes_while_all_slots_are_busy_fills_one_batch(
    clock: Timers,
) -> None:
    batcher = make(clock)
    for item in "abc":
        batcher.submit(item, 0)
        await quiet()
    assert len(batcher) == 3, "without a free slot nothing may leave the queue"
    batch = await taken(batcher)
    assert (items(batch), batch.reason) == (["a", "b", "c"], CloseReason.DRAINED)


async def test_a_waiting_slot_gets_the_first_image_at_once(clock: Timers) -> None:
    batcher = make(clock)
    slots = Slots(batcher, 1)
    await quiet()
    batcher.submit("a", 0)
    await quiet()
    assert slots.batches() == [["a"]]
    assert clock.timers == []


async def test_most_urgent_first_then_in_order_of_arrival(clock: Timers) -> None:
    batcher = make(clock, max_batch=3)
    for item, urgency in [("late", 9), ("soon", 1), ("first", 5), ("second", 5), ("third", 5)]:
        batcher.submit(item, urgency)
    assert items(await taken(batcher)) == ["soon", "first", "second"]
    assert items(await taken(batcher)) == ["third", "late"]


async def test_full_when_the_largest_size_is_reached(clock: Timers) -> None:
    batcher = make(clock, max_batch=2)
    for item in "abc":
        batcher.submit(item, 0)
    batch = await taken(batcher)
    assert (items(batch), batch.reason) == (["a", "b"], CloseReason.FULL)
    batch = await taken(batcher)
    assert (items(batch), batch.reason) == (["c"], CloseReason.DRAINED)


async def test_several_free_slots_share_what_is_ready(clock: Timers) -> None:
    batcher = make(clock, max_batch=8)
    slots = Slots(batcher, 3)
    await quiet()
    for number in range(7):
        batcher.submit(str(number), 0)
    await quiet()
    assert sorted(map(len, slots.batches()), reverse=True) == [3, 2, 2]
    reasons = [task.result().reason for task in slots.tasks]
    assert sorted(reasons) == [CloseReason.DRAINED, CloseReason.SHARED, CloseReason.SHARED]


async def test_the_largest_size_may_change_at_any_time(clock: Timers) -> None:
    batcher = make(clock, max_batch=2)
    for item in "abcd":
        batcher.submit(item, 0)
    batcher.max_batch = 3
    assert items(await taken(batcher)) == ["a", "b", "c"]


async def test_a_batch_is_no_larger_than_any_of_its_images_allows(clock: Timers) -> None:
    batcher = make(clock, max_batch=10)
    for item, most in [("a", 3), ("b", None), ("c", 4), ("d", 2), ("e", 2), ("f", 1), ("g", None)]:
        batcher.submit(item, 0, most)
    batches = [await taken(batcher) for _ in range(4)]
    assert [items(batch) for batch in batches] == [["a", "b", "c"], ["d", "e"], ["f"], ["g"]]
    assert [batch.reason for batch in batches] == [CloseReason.FULL] * 3 + [CloseReason.DRAINED]


async def test_what_an_image_leaves_out_of_its_batch_wakes_another_slot(clock: Timers) -> None:
    batcher = make(clock, max_batch=10)
    slots = Slots(batcher, 2)
    await quiet()
    batcher.submit("a", 0, 1)
    batcher.submit("b", 0, 1)
    await quiet()
    assert sorted(slots.batches()) == [["a"], ["b"]]
    await slots.end()


async def test_linger_waits_for_a_fuller_batch_but_no_longer(clock: Timers) -> None:
    batcher = make(clock, linger=1.0)
    slots = Slots(batcher, 1)
    await quiet()
    batcher.submit("a", 0)
    await clock.advance(0.9)
    assert slots.batches() == []
    batcher.submit("b", 0)
    await clock.advance(0.05)
    assert slots.batches() == []
    await clock.advance(0.05)
    assert slots.batches() == [["a", "b"]], "the timer began with a and must end with it"
    assert slots.tasks[0].result().reason is CloseReason.LINGERED


async def test_linger_ends_early_when_the_batch_is_full(clock: Timers) -> None:
    batcher = make(clock, max_batch=2, linger=1.0)
    slots = Slots(batcher, 1)
    await quiet()
    batcher.submit("a", 0)
    await quiet()
    batcher.submit("b", 0)
    await quiet()
    assert slots.batches() == [["a", "b"]]
    assert slots.tasks[0].result().reason is CloseReason.FULL


async def test_the_linger_timer_is_never_moved_by_younger_images(clock: Timers) -> None:
    batcher = make(clock, max_batch=100, linger=1.0)
    slots = Slots(batcher, 1)
    await quiet()
    for number in range(8):
        batcher.submit(str(number), 9 - number)
        await quiet()
        assert [when for when, _ in clock.timers] == [101.0]
        await clock.advance(0.125)
    assert len(slots.batches()[0]) == 8


async def test_an_image_that_waited_while_all_were_busy_does_not_linger_again(
    clock: Timers,
) -> None:
    batcher = make(clock, linger=1.0)
    batcher.submit("a", 0)
    await clock.advance(1.0)
    batch = await taken(batcher)
    assert (items(batch), batch.reason) == (["a"], CloseReason.LINGERED)


async def test_withdrawn_images_are_in_no_batch_and_take_no_place(clock: Timers) -> None:
    batcher = make(clock, max_batch=2)
    tickets = [batcher.submit(item, 0) for item in "abcd"]
    tickets[0].result.cancel()
    tickets[2].result.cancel()
    assert items(await taken(batcher)) == ["b", "d"]
    assert len(batcher) == 0


async def test_a_slot_keeps_waiting_when_all_that_woke_it_was_withdrawn(clock: Timers) -> None:
    batcher = make(clock)
    slots = Slots(batcher, 1)
    await quiet()
    batcher.submit("a", 0).result.cancel()
    await quiet()
    assert slots.batches() == []
    batcher.submit("b", 0)
    await quiet()
    assert slots.batches() == [["b"]]


async def test_a_slot_that_is_cancelled_after_its_wake_up_passes_it_on(clock: Timers) -> None:
    batcher = make(clock)
    slots = Slots(batcher, 2)
    await quiet()
    batcher.submit("a", 0)
    # Its future is resolved now, and it has not run yet.
    slots.tasks[0].cancel()
    await quiet()
    assert slots.tasks[0].cancelled()
    assert items(slots.tasks[1].result()) == ["a"]


async def test_a_cancelled_slot_does_not_count_as_free(clock: Timers) -> None:
    batcher = make(clock)
    slots = Slots(batcher, 3)
    await quiet()
    await slots.end()
    for item in "ab":
        batcher.submit(item, 0)
    batch = await taken(batcher)
    assert (items(batch), batch.reason) == (["a", "b"], CloseReason.DRAINED)


async def test_a_batch_tells_how_many_slots_have_nothing_to_do_beside_it(clock: Timers) -> None:
    batcher = make(clock)
    others = [asyncio.create_task(batcher.take()) for _ in range(2)]
    await asyncio.sleep(0)
    first = asyncio.create_task(batcher.take(preferred=True))
    await asyncio.sleep(0)
    batcher.submit("a", 0)
    async with asyncio.timeout(5):
        batch = await first
    assert items(batch) == ["a"], (
        "the slot that is preferred is woken before those that wait longer"
    )
    assert batch.idle_slots == 2
    for item in "bcd":
        batcher.submit(item, 0)
    shared = await asyncio.gather(*others)
    assert sorted(each.idle_slots for each in shared) == [0, 0]


async def test_put_back_keeps_urgency_and_waiting_time(clock: Timers) -> None:
    batcher = make(clock, max_batch=2, linger=1.0)
    for item, urgency in [("urgent", 1), ("patient", 7)]:
        batcher.submit(item, urgency)
    batch = await taken(batcher)
    await clock.advance(5.0)
    slots = Slots(batcher, 1)
    await quiet()
    batcher.put_back(batch.tickets[1:])
    await quiet()
    assert slots.batches() == [["patient"]], "it has waited for longer than linger already"
    batcher.submit("new", 5)
    batcher.put_back(batch.tickets)
    assert items(await taken(batcher)) == ["urgent", "new"]


async def test_put_back_wakes_all_the_slots_that_it_has_work_for(clock: Timers) -> None:
    batcher = make(clock, max_batch=4)
    for item in "abcd":
        batcher.submit(item, 0)
    batch = await taken(batcher)
    slots = Slots(batcher, 2)
    await quiet()
    batcher.put_back(batch.tickets)
    await quiet()
    assert sorted(map(len, slots.batches())) == [2, 2]


class Busy:
    """A slot that computes, and would take a full batch meanwhile."""

    def __init__(self, batcher: Batcher[str, str]) -> None:
        self.computed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(batcher.take_full(self.computed))

    async def end(self) -> Batch[str, str] | None:
        self.computed.set_result(None)
        return await self.task


async def test_a_busy_slot_takes_a_batch_that_is_full_and_no_other(clock: Timers) -> None:
    batcher = make(clock, max_batch=2)
    busy = Busy(batcher)
    await quiet()
    batcher.submit("a", 0)
    await quiet()
    assert not busy.task.done(), "it may still grow"
    batcher.submit("b", 0)
    await quiet()
    batch = busy.task.result()
    assert batch is not None
    assert (items(batch), batch.reason) == (["a", "b"], CloseReason.FULL)


async def test_a_busy_slot_goes_away_empty_handed_when_it_is_free(clock: Timers) -> None:
    batcher = make(clock, max_batch=2)
    busy = Busy(batcher)
    batcher.submit("a", 0)
    await quiet()
    assert await busy.end() is None
    assert items(await taken(batcher)) == ["a"]


async def test_a_batch_is_full_for_a_busy_slot_if_its_images_allow_no_larger_one(
    clock: Timers,
) -> None:
    batcher = make(clock, max_batch=8)
    busy = Busy(batcher)
    batcher.submit("a", 0, most=1)
    await quiet()
    batch = busy.task.result()
    assert batch is not None
    assert items(batch) == ["a"]


async def test_a_free_slot_comes_before_a_busy_one(clock: Timers) -> None:
    batcher = make(clock, max_batch=1)
    busy, free = Busy(batcher), Slots(batcher, 1)
    await quiet()
    batcher.submit("a", 0)
    batcher.submit("b", 0)
    await quiet()
    assert free.batches() == [["a"]]
    batch = busy.task.result()
    assert batch is not None
    assert items(batch) == ["b"]


async def test_a_busy_slot_does_not_forestall_a_free_one_that_has_been_woken(
    clock: Timers,
) -> None:
    batcher = make(clock, max_batch=1)
    free = Slots(batcher, 1)
    await quiet()
    busy = Busy(batcher)
    batcher.submit("a", 0)  # the busy slot looks first, since it was made before
    await quiet()
    assert free.batches() == [["a"]]
    assert await busy.end() is None


async def test_of_two_busy_slots_one_is_woken_for_each_full_batch(clock: Timers) -> None:
    batcher = make(clock, max_batch=2)
    slots = [Busy(batcher) for _ in range(2)]
    await quiet()
    for item in "abcde":
        batcher.submit(item, 0)
    await quiet()
    batches = [await slot.task for slot in slots]
    assert [items(batch) for batch in batches if batch] == [["a", "b"], ["c", "d"]]
    assert len(batcher) == 1


async def test_a_busy_slot_that_is_cancelled_passes_its_wake_up_on(clock: Timers) -> None:
    batcher = make(clock, max_batch=1)
    first, second = Busy(batcher), Busy(batcher)
    await quiet()
    batcher.submit("a", 0)
    first.task.cancel()
    await quiet()
    assert first.task.cancelled()
    batch = second.task.result()
    assert batch is not None
    assert items(batch) == ["a"]


Event = tuple[str, int]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 3)),
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.tuples(st.just("withdraw"), st.integers(0, 30)),
        st.tuples(st.just("cancel_slot"), st.integers(0, 5)),
        st.tuples(st.just("put_back"), st.integers(0, 5)),
        st.tuples(st.just("pass"), st.integers(1, 20)),
        st.tuples(st.just("compute"), st.integers(1, 3)),
        st.tuples(st.just("computed"), st.integers(0, 5)),
    ),
    max_size=60,
)


class Run:
    """Any sequence of events, and what became of every ticket."""

    def __init__(self, max_batch: int, linger: float) -> None:
        self.clock = Timers()
        self.batcher = make(self.clock, max_batch, linger)
        self.linger = linger
        self.tickets: list[Ticket[str, str]] = []
        self.waiting: list[asyncio.Task[Batch[str, str]]] = []
        self.taken: list[Batch[str, str]] = []
        self.busy: list[Busy] = []

    def do(self, event: Event) -> None:
        name, number = event
        match name:
            case "submit":
                ticket = self.batcher.submit(str(len(self.tickets)), number)
                self.tickets.append(ticket)
            case "take":
                self.waiting += [asyncio.create_task(self.batcher.take()) for _ in range(number)]
            case "withdraw" if self.tickets:
                self.tickets[number % len(self.tickets)].result.cancel()
            case "cancel_slot" if self.waiting:
                self.waiting[number % len(self.waiting)].cancel()
            case "compute":
                self.busy += [Busy(self.batcher) for _ in range(number)]
            case "computed" if self.busy:
                computed = self.busy[number % len(self.busy)].computed
                if not computed.done():
                    computed.set_result(None)
            case "put_back" if self.taken:
                self.batcher.put_back(self.taken.pop(number % len(self.taken)).tickets)
            case _:
                pass

    def collect(self) -> None:
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            if not task.cancelled():
                self.taken.append(task.result())
        for busy in [busy for busy in self.busy if busy.task.done()]:
            self.busy.remove(busy)
            if batch := busy.task.result():
                assert batch.reason is CloseReason.FULL
                self.taken.append(batch)

    async def play(self, events: list[Event]) -> None:
        for event in events:
            self.do(event)
            await self.clock.advance(event[1] / 10 if event[0] == "pass" else 0.0)
            self.collect()
            assert all(1 <= len(batch.tickets) <= self.batcher.max_batch for batch in self.taken)
            assert not self.starving(), "a free slot and an image that is due, and no batch"
            assert not self.overfull(), "a busy slot and a full batch, and it was not taken"
        # With enough slots and time, nobody is forgotten.
        while [ticket for ticket in self.tickets if not ticket.result.done()]:
            before = len(self.taken)
            self.do(("take", 1))
            await self.clock.advance(self.linger)
            self.collect()
            if len(self.taken) == before:
                break
        await self.end()

    def starving(self) -> bool:
        held = {id(ticket) for batch in self.taken for ticket in batch.tickets}
        due = [
            ticket
            for ticket in self.tickets
            if not ticket.result.done()
            and id(ticket) not in held
            and self.clock.now >= ticket.ready_at + self.linger
        ]
        return bool(due and [task for task in self.waiting if not task.done()])

    def overfull(self) -> bool:
        self.batcher._drop_withdrawn()
        return bool(self.busy) and not self.waiting and self.batcher._is_full()

    async def end(self) -> None:
        for task in (*self.waiting, *(busy.task for busy in self.busy)):
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)

    def counts(self) -> dict[int, int]:
        counts = {id(ticket): 0 for ticket in self.tickets}
        for batch in self.taken:
            for ticket in batch.tickets:
                counts[id(ticket)] += 1
        return counts


@given(EVENTS, st.integers(1, 5), st.sampled_from([0.0, 1.0]))
@settings(max_examples=150, deadline=None)
def test_every_image_is_in_exactly_one_batch_whatever_happens(
    events: list[Event], max_batch: int, linger: float
) -> None:
    async def play() -> Run:
        run = Run(max_batch, linger)
        await run.play(events)
        return run

    run = asyncio.run(play())
    counts: dict[int, Any] = run.counts()
    for ticket in run.tickets:
        if ticket.result.cancelled():
            assert counts[id(ticket)] <= 1
        else:
            assert counts[id(ticket)] == 1
