"""A limited number of places, shared fairly: holders that take long cannot keep the others out.

Pure scheduling, without I/O. A place cannot be taken back before its holder gives it up. A wait is
bounded since every holder is bounded in time, and by the choice of who comes next.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import TracebackType
    from typing import Self

__all__ = ["SLOW", "FairPlaces", "HostPlaces", "Place", "Seat"]

SLOW = 2.0
"""Seconds; a key that holds places for longer than this on average is slow."""

UNKNOWN = 1.0
"""Seconds for which a key that has not been seen yet is expected to hold a place."""

WEIGHT = 0.25
"""Of the latest hold in the average: one good answer does not make up for three bad ones."""

MAX_REMEMBERED = 4096
"""Most keys whose pace is known; the ones that were served longest ago are forgotten."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """One that waits for a place.

    Attributes:
        since: when it began to wait, by the clock.
        charged: seconds put on its key's account, once it has the place.
    """

    since: float
    charged: asyncio.Future[float]


@dataclass(slots=True)
class _Key:
    """One key that holds places or waits for them.

    Attributes:
        had: seconds of places that it has had, and those that it is expected to have of the places
            that it holds.
        served: the turn in which it came, or last got a place or gave one back.
        waiters: who came first is first.
    """

    had: float
    served: int
    held: int = 0
    waiters: list[_Waiter] = field(default_factory=list)


class FairPlaces:
    """`most` places, whose time is shared evenly between the keys that want any.

    Weighted fair queueing: a free place goes to the key that will have had the least time with it,
    and within one key to the one that came first. So a key with a thousand waiters delays another
    key by one turn, not by a thousand, and one that takes seconds gets fewer turns than one that
    takes milliseconds. None waits forever: a new key begins with what the others have had.

    Args:
        most: places in all.
        reserved: places that slow keys leave free for the others. A key that has not been seen yet
            is not slow.
        slow: seconds for which a slow key holds a place on average, at least.
        clock: what holds and waits are measured by.
    """

    def __init__(
        self,
        most: int,
        *,
        reserved: int = 0,
        slow: float = SLOW,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._free = most
        self._open_to_slow = most - reserved
        self._slow = slow
        self._clock = clock
        # Invariant: a key is here exactly while it holds a place or waits for one.
        self._keys: dict[Hashable, _Key] = {}
        self._pace: OrderedDict[Hashable, float] = OrderedDict()
        self._waiting = 0
        self._turn = 0
        # The virtual time of fair queueing: what a key waiting from the beginning would have had.
        self._level = 0.0

    def __len__(self) -> int:
        """Keys that hold places or wait for them."""
        return len(self._keys)

    def is_contested(self, key: Hashable) -> bool:
        """Tell whether another key waits."""
        return any(each.waiters for other, each in self._keys.items() if other != key)

    def acquire_now(self, key: Hashable) -> Place | None:
        """Take a place if `acquire` would not wait for it.

        Returns:
            The place, which the caller releases; None if it has to be waited for.
        """
        if not self._free or self._waiting or self._is_slow(key):
            return None
        charged = self._serve(key, self._entry(key))
        return Place(self, key, self._clock.monotonic(), charged)

    async def acquire(self, key: Hashable, since: float | None = None) -> Place:
        """Wait for a place.

        Args:
            since: when the caller first wanted a place for what it does, if this is not the first
                one: what has begun is finished before more is begun. By the clock.

        Returns:
            The place, which the caller releases.
        """
        if (place := self.acquire_now(key)) is not None:
            return place
        entry = self._entry(key)
        charged: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(self._clock.monotonic() if since is None else since, charged)
        insort(entry.waiters, waiter, key=lambda each: each.since)
        self._waiting += 1
        self._grant()
        try:
            await charged
        except asyncio.CancelledError:
            if charged.cancelled():
                with suppress(ValueError):  # where it was found cancelled before
                    entry.waiters.remove(waiter)
                    self._waiting -= 1
                self._forget(key, entry)
            else:
                self._give_back(key, 0.0, charged.result())  # it came in the same moment
            raise
        return Place(self, key, self._clock.monotonic(), charged.result())

    def _entry(self, key: Hashable) -> _Key:
        entry = self._keys.get(key)
        if entry is None:
            self._turn += 1
            entry = self._keys[key] = _Key(self._level, self._turn)
        return entry

    def _release(self, key: Hashable, since: float, charged: float) -> None:
        took = self._clock.monotonic() - since
        self._pace[key] = took + (1 - WEIGHT) * (self._pace.get(key, took) - took)
        self._pace.move_to_end(key)
        if len(self._pace) > MAX_REMEMBERED:
            self._pace.popitem(last=False)
        self._give_back(key, took, charged)

    def _give_back(self, key: Hashable, took: float, charged: float) -> None:
        self._level += took / len(self._keys)
        entry = self._keys[key]
        entry.had += took - charged
        entry.held -= 1
        self._free += 1
        self._turn += 1
        entry.served = self._turn
        self._forget(key, entry)
        self._grant()

    def _forget(self, key: Hashable, entry: _Key) -> None:
        if not entry.held and not entry.waiters and self._keys.get(key) is entry:
            del self._keys[key]

    def _grant(self) -> None:
        while self._free and self._waiting and (chosen := self._choose()) is not None:
            key, entry = chosen
            charged = entry.waiters.pop(0).charged
            self._waiting -= 1
            if charged.cancelled():
                self._forget(key, entry)
            else:
                charged.set_result(self._serve(key, entry))

    def _serve(self, key: Hashable, entry: _Key) -> float:
        """Give a free place to a key, and return the seconds charged for it."""
        self._turn += 1
        entry.served = self._turn
        entry.held += 1
        self._free -= 1
        charge = self._expected(key)
        entry.had += charge
        return charge

    def _choose(self) -> tuple[Hashable, _Key] | None:
        """Choose the waiting key whose turn it is."""
        waiting = [(key, entry) for key, entry in self._keys.items() if entry.waiters]
        if any(self._is_slow(key) for key, _ in waiting):
            held = sum(entry.held for key, entry in self._keys.items() if self._is_slow(key))
            if held >= self._open_to_slow:
                waiting = [(key, entry) for key, entry in waiting if not self._is_slow(key)]
        return min(waiting, key=self._order, default=None)

    def _order(self, each: tuple[Hashable, _Key]) -> tuple[float, int]:
        key, entry = each
        return entry.had + self._expected(key), entry.served

    def _expected(self, key: Hashable) -> float:
        return self._pace.get(key, UNKNOWN)

    def _is_slow(self, key: Hashable) -> bool:
        return self._pace.get(key, 0.0) > self._slow


@dataclass(frozen=True, slots=True)
class Place:
    """A place that is held since `_since`, for which `_charged` was put on account."""

    _places: FairPlaces
    _key: Hashable
    _since: float
    _charged: float

    def release(self) -> None:
        """Give the place back; to be called once."""
        self._places._release(self._key, self._since, self._charged)  # noqa: SLF001 - its other half


class HostPlaces:
    """`most` places at each host, shared fairly between the names that lead there.

    Args:
        clock: what holds and waits are measured by.
    """

    def __init__(self, most: int, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._most = most
        self._clock = clock
        # Invariant: a host is here exactly while a place at it is held or waited for.
        self._hosts: dict[Hashable, FairPlaces] = {}

    def __len__(self) -> int:
        """Hosts that are held or waited for."""
        return len(self._hosts)

    def seat(self) -> Seat:
        """Make a context that holds a place at one host at a time.

        Returns:
            The context; it holds no place until its `take` is called.
        """
        return Seat(self, self._clock.monotonic())

    def _acquire_now(self, host: Hashable, name: Hashable) -> Place | None:
        return self._places(host).acquire_now(name)

    async def _acquire(self, host: Hashable, name: Hashable, since: float) -> Place:
        try:
            return await self._places(host).acquire(name, since)
        finally:
            self._forget(host)

    def _places(self, host: Hashable) -> FairPlaces:
        places = self._hosts.get(host)
        if places is None:
            places = self._hosts[host] = FairPlaces(self._most, clock=self._clock)
        return places

    def _forget(self, host: Hashable) -> None:
        places = self._hosts.get(host)
        if places is not None and not len(places):
            del self._hosts[host]


class Seat:
    """One task's place at a host; left at the latest when the context ends.

    Never at two hosts at a time: tasks that waited for a second one could wait for each other.

    Attributes:
        since: when it was made, by the clock of the places.
    """

    def __init__(self, hosts: HostPlaces, since: float) -> None:
        self.since = since
        self._hosts = hosts
        self._at: tuple[Hashable, Hashable] | None = None
        self._place: Place | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def take_now(self, host: Hashable, name: Hashable) -> bool:
        """Take a place at `host`, for `name`, if `take` would not wait for it.

        Returns:
            Whether it is held now.
        """
        if self._at == (host, name):
            return True
        self.leave()
        self._place = self._hosts._acquire_now(host, name)  # noqa: SLF001 - its other half
        if self._place is None:
            return False
        self._at = host, name
        return True

    async def take(self, host: Hashable, name: Hashable) -> None:
        """Wait for a place at `host`, for `name`; nothing when it is held already."""
        if self.take_now(host, name):
            return
        self._place = await self._hosts._acquire(host, name, self.since)  # noqa: SLF001 - its other half
        self._at = host, name

    def give_way(self) -> None:
        """Leave if another name waits for this host."""
        if self._at is not None and self._hosts._hosts[self._at[0]].is_contested(self._at[1]):  # noqa: SLF001
            self.leave()

    def leave(self) -> None:
        """Give the place back, if there is one."""
        if self._at is None or self._place is None:
            return
        host, _ = self._at
        self._place.release()
        self._at = self._place = None
        self._hosts._forget(host)  # noqa: SLF001
