"""Which waiter gets the next place, and that places are neither lost nor invented."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.clock import Clock
from worker.images.places import SLOW, FairPlaces, HostPlaces, Place

Queue = list[tuple[str, "asyncio.Task[Place]"]]


class Passing:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clock = Clock(lambda: self.now)


async def ask(places: FairPlaces, *keys: str) -> Queue:
    """Tasks that ask for a place for each key, in this order."""
    queue = [(key, asyncio.create_task(places.acquire(key))) for key in keys]
    await turn()
    return queue


async def turn() -> None:
    """Lets every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def served(queue: Queue) -> list[str]:
    return [key for key, task in queue if task.done()]


async def drain(
    places: FairPlaces, queue: Queue, time: Passing | None = None, seconds: float = 1.0
) -> list[str]:
    """Gives places back one by one; the keys in the order in which they got theirs."""
    time = time or Passing()
    order: list[str] = []
    while queue:
        key, task = next(each for each in queue if each[1].done())
        queue.remove((key, task))
        order.append(key)
        time.now += seconds
        task.result().release()
        await turn()
    assert len(places) == 0
    return order


async def test_of_one_key_who_comes_first_is_served_first() -> None:
    places = FairPlaces(1)
    tasks = [task for _, task in await ask(places, "a", "a", "a")]
    for number, task in enumerate(tasks):
        assert [each.done() for each in tasks] == [each <= number for each in range(3)]
        task.result().release()
        await turn()
    assert len(places) == 0


async def test_who_has_begun_comes_before_who_has_not() -> None:
    """A fetch that is tried again goes on before new ones of its host begin."""
    time = Passing()
    places = FairPlaces(1, clock=time.clock)
    time.now = 5
    queue = await ask(places, "a", "a")
    again = asyncio.create_task(places.acquire("a", since=1))
    await turn()
    queue.pop(0)[1].result().release()
    await turn()
    assert again.done()
    again.result().release()
    await turn()
    await drain(places, queue)


async def test_a_backlog_of_one_key_delays_another_by_one_turn() -> None:
    time = Passing()
    places = FairPlaces(1, clock=time.clock)
    queue = await ask(places, *"a" * 100, "b")
    assert (await drain(places, queue, time))[:3] == ["a", "b", "a"]


async def test_a_key_that_holds_fewer_places_comes_first() -> None:
    places = FairPlaces(3, clock=Passing().clock)
    queue = await ask(places, "a", "a", "b", "a", "b", "c")
    assert served(queue) == ["a", "a", "b"]
    queue.pop(0)[1].result().release()
    await turn()
    assert served(queue) == ["a", "b", "c"]
    await drain(places, queue)


async def test_keys_take_turns() -> None:
    time = Passing()
    places = FairPlaces(1, clock=time.clock)
    queue = await ask(places, "a", "a", "a", "b", "b", "b", "c", "c", "c")
    assert "".join(await drain(places, queue, time)) == "abcabcabc"


async def test_a_key_that_takes_long_gets_fewer_turns() -> None:
    time = Passing()
    places = FairPlaces(1, clock=time.clock)
    queue = await ask(places, *"sq" * 10)
    order = ""
    while len(order) < 12:
        key, task = next(each for each in queue if each[1].done())
        queue.remove((key, task))
        order += key
        time.now += 10 if key == "s" else 1
        task.result().release()
        await turn()
    assert order == "sqqqqqqqqqqs"
    await drain(places, queue)


async def test_a_key_that_is_known_to_be_quick_comes_before_one_that_nobody_knows() -> None:
    time = Passing()
    places = FairPlaces(1, clock=time.clock)
    queue = await ask(places, "quick")
    await drain(places, queue, Passing())
    queue = await ask(places, "first", *(f"new {n}" for n in range(9)), "quick", "quick")
    assert (await drain(places, queue, time, 0.1))[:3] == ["first", "quick", "quick"]


async def test_who_comes_later_does_not_push_back_who_waits() -> None:
    time = Passing()
    places = FairPlaces(1, clock=time.clock)
    queue = await ask(places, "slow", "slow")
    for number in range(40):
        queue += await ask(places, f"new {number}")
        key, task = next(each for each in queue if each[1].done())
        queue.remove((key, task))
        time.now += 5 if key == "slow" else 1
        task.result().release()
        await turn()
    assert "slow" not in [key for key, task in queue]
    await drain(places, queue)


async def test_slow_keys_leave_the_reserved_places_to_others() -> None:
    time = Passing()
    places = FairPlaces(4, reserved=1, clock=time.clock)
    for key in ("slow", "slower", "quick"):
        place = await places.acquire(key)
        time.now += 0.0 if key == "quick" else SLOW + 1
        place.release()
    queue = await ask(places, "slow", "slower", "slow", "slower", "slow")
    assert len(served(queue)) == 3
    # A key that nobody has met, and one that is known to be quick, find a place at once.
    for key in ("new", "quick"):
        async with asyncio.timeout(5):
            (await places.acquire(key)).release()
    await drain(places, queue)


async def test_slow_keys_use_what_is_not_reserved_and_become_quick_by_being_quick() -> None:
    time = Passing()
    places = FairPlaces(2, reserved=1, clock=time.clock)
    place = await places.acquire("a")
    time.now += SLOW * 2
    place.release()
    queue = await ask(places, "a", "a")
    assert len(served(queue)) == 1
    await drain(places, queue)
    for _ in range(4):
        (await places.acquire("a")).release()
    queue = await ask(places, "a", "a")
    assert len(served(queue)) == 2
    await drain(places, queue)


async def test_one_quick_answer_among_slow_ones_is_no_disguise() -> None:
    time = Passing()
    places = FairPlaces(2, reserved=1, clock=time.clock)
    for seconds in (15, 0, 15, 0, 15, 0):
        place = await places.acquire("a")
        time.now += seconds
        place.release()
    queue = await ask(places, "a", "a")
    assert len(served(queue)) == 1
    await drain(places, queue)


async def test_a_waiter_that_is_cancelled_leaves_nothing_behind() -> None:
    places = FairPlaces(1)
    queue = await ask(places, "a", "b", "a")
    for _, task in queue[1:]:
        task.cancel()
    await turn()
    assert len(places) == 1
    queue[0][1].result().release()
    assert len(places) == 0


async def test_a_place_that_comes_with_the_cancellation_goes_to_the_next() -> None:
    places = FairPlaces(1)
    queue = await ask(places, "a", "b", "c")
    queue[0][1].result().release()  # b's waiter has it, but its task has not run yet
    queue[1][1].cancel()
    await turn()
    assert queue[1][1].cancelled()
    assert queue[2][1].done()
    queue[2][1].result().release()
    assert len(places) == 0


@given(
    most=st.integers(1, 4),
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["ask", "release", "cancel"])),
        max_size=40,
    ),
)
def test_whatever_happens_places_are_neither_lost_nor_made(
    most: int, steps: list[tuple[str, str]]
) -> None:
    async def run() -> None:
        places = FairPlaces(most, reserved=most // 2)
        queue: Queue = []
        for key, step in steps:
            if step == "ask":
                queue += await ask(places, key)
            for each in [each for each in queue if each[0] == key][:1]:
                if step == "release" and each[1].done():
                    queue.remove(each)
                    each[1].result().release()
                elif step == "cancel" and not each[1].done():
                    queue.remove(each)
                    each[1].cancel()
            await turn()
            held = Counter(task.done() for _, task in queue)
            assert held[True] == min(most, len(queue))
        await drain(places, queue)

    asyncio.run(run())


class TestHosts:
    async def test_names_share_the_places_of_their_host(self) -> None:
        hosts = HostPlaces(2)
        seats = [hosts.seat() for _ in range(4)]
        for seat, name in zip(seats[:2], "ab", strict=True):
            await seat.take("192.0.2.1", name)
        third = asyncio.create_task(seats[2].take("192.0.2.1", "c"))
        async with asyncio.timeout(5):
            await seats[3].take("192.0.2.2", "c")
        assert not third.done()
        assert len(hosts) == 2
        seats[0].leave()
        async with asyncio.timeout(5):
            await third
        for seat in seats:
            seat.leave()
        assert len(hosts) == 0

    async def test_a_seat_is_kept_until_it_moves(self) -> None:
        hosts = HostPlaces(1)
        with hosts.seat() as seat:
            await seat.take("192.0.2.1", "a")
            await seat.take("192.0.2.1", "a")
            await seat.take("192.0.2.2", "b")
            with hosts.seat() as other:
                await other.take("192.0.2.1", "a")
        assert len(hosts) == 0

    async def test_between_attempts_way_is_given_to_another_name_only(self) -> None:
        time = Passing()
        hosts = HostPlaces(1, clock=time.clock)
        with hosts.seat() as seat, hosts.seat() as same, hosts.seat() as other:
            await seat.take("192.0.2.1", "a")
            waiting = asyncio.create_task(same.take("192.0.2.1", "a"))
            await turn()
            seat.give_way()
            await turn()
            assert not waiting.done()
            second = asyncio.create_task(other.take("192.0.2.1", "b"))
            await turn()
            time.now += 1
            seat.give_way()
            await turn()
            assert second.done()
            assert not waiting.done()
            other.leave()
            await waiting
        assert len(hosts) == 0

    async def test_a_cancelled_wait_is_forgotten(self) -> None:
        hosts = HostPlaces(1)
        with hosts.seat() as seat:
            await seat.take("192.0.2.1", "a")
            with hosts.seat() as other, pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await other.take("192.0.2.1", "b")
        assert len(hosts) == 0
