"""Host names to addresses: a name server that does not answer holds up its own names only.

The event loop's resolver has a few threads for all names (asyncio's default executor; uvloop's has
four), each of which a silent name server blocks for many seconds. The names behind them would time
out without having been asked for.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult

from worker.clock import SYSTEM_CLOCK, Clock
from worker.images.places import FairPlaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Lookup", "Names", "SystemResolver", "addresses"]

MOST_LOOKUPS = 64
"""Names that are looked up at a time, a thread each."""

RESERVED_LOOKUPS = 16
"""Of these, kept from domains whose name servers are slow."""

KEPT = 10.0
"""Seconds for which an answer holds."""

MAX_KEPT = 1024

Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, Address]


_chosen: ContextVar[list[ResolveResult] | None] = ContextVar("chosen", default=None)
"""What the fetch that runs has found for the name that it connects to."""


@contextmanager
def addresses(found: list[ResolveResult] | None) -> Iterator[None]:
    """Make connections within the block use these addresses, however old they are.

    A fetch may wait long for its place. Asking the resolver again would use up its time, and its
    place.

    Args:
        found: the addresses; None asks the resolver.
    """
    token = _chosen.set(found)
    try:
        yield
    finally:
        _chosen.reset(token)


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question, which any number of tasks wait for.

    Attributes:
        begun: done when the name server is asked: what is waited for before is only a turn.
        answer: the addresses.
    """

    begun: asyncio.Future[None]
    answer: asyncio.Task[list[ResolveResult]]


class Names(AbstractResolver):
    """Asks each name once at a time, fairly between domains, and keeps answers for a while.

    Args:
        resolver: answers; it may take as long as it likes.
        clock: what kept answers age by.
    """

    def __init__(self, resolver: AbstractResolver, clock: Clock = SYSTEM_CLOCK) -> None:
        self._resolver = resolver
        self._clock = clock
        self._turns = FairPlaces(MOST_LOOKUPS, reserved=RESERVED_LOOKUPS, clock=clock)
        self._open: dict[tuple[str, int], Lookup] = {}
        self._kept: OrderedDict[tuple[str, int], tuple[float, list[ResolveResult]]] = OrderedDict()

    def known(self, host: str, port: int) -> list[ResolveResult] | None:
        """Look up a kept answer.

        Returns:
            The addresses; None when the name has to be asked for.
        """
        until, kept = self._kept.get((host, port), (0.0, None))
        return kept if self._clock.monotonic() < until else None

    def look_up(self, host: str, port: int) -> Lookup:
        """Begin to resolve a name, or join a look-up of it that is under way.

        Wait for its `answer` under `asyncio.shield`: others may wait for it too.

        Returns:
            The look-up. Its `answer` raises OSError, or ValueError for a name that cannot be
            resolved.
        """
        lookup = self._open.get((host, port))
        if lookup is None:
            begun = asyncio.get_running_loop().create_future()
            answer = asyncio.create_task(self._ask(host, port, begun))
            lookup = self._open[host, port] = Lookup(begun, answer)
            answer.add_done_callback(lambda task: self._ended((host, port), task))
        return lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp asks for all
    ) -> list[ResolveResult]:
        """Resolve a name for aiohttp, which asks just before it connects.

        Returns:
            The addresses that the block `addresses` names, else those that are known or asked for.
        """
        known = _chosen.get() or self.known(host, port)
        return await asyncio.shield(self.look_up(host, port).answer) if known is None else known

    async def close(self) -> None:
        """Cancel the look-ups that are under way."""
        tasks = [lookup.answer for lookup in self._open.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._resolver.close()

    async def _ask(self, host: str, port: int, begun: asyncio.Future[None]) -> list[ResolveResult]:
        place = await self._turns.acquire(_domain(host))
        try:
            begun.set_result(None)
            found = await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        finally:
            place.release()
        self._kept[host, port] = self._clock.monotonic() + KEPT, found
        self._kept.move_to_end((host, port))
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    def _ended(self, key: tuple[str, int], task: asyncio.Task[list[ResolveResult]]) -> None:
        self._open.pop(key).begun.cancel()
        if not task.cancelled():
            task.exception()  # seen, in case that no task waits any more


class SystemResolver(AbstractResolver):
    """The system's own resolver, in a thread for each name.

    Neither cancelling nor the end of the process waits for a name server. The caller bounds the
    number of threads: a cancelled call leaves its thread behind until the system gives up.

    Args:
        getaddrinfo: what the threads call.
    """

    def __init__(self, getaddrinfo: Callable[..., Sequence[Info]] = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a name.

        Returns:
            The addresses of `host`, in the system's order.
        """
        outcome: Future[Sequence[Info]] = Future()

        def ask() -> None:
            try:
                found = self._getaddrinfo(
                    host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
                )
            except Exception as error:  # noqa: BLE001 - passed on to the waiters
                outcome.set_exception(error)
            else:
                outcome.set_result(found)

        outcome.set_running_or_notify_cancel()  # from here on the thread may always set it
        try:
            threading.Thread(target=ask, name="resolve", daemon=True).start()
        except RuntimeError as error:
            # The process has all the threads that it may have, for now.
            raise OSError(errno.EAGAIN, "no thread to resolve names in") from error
        infos = await asyncio.wrap_future(outcome)
        return [
            ResolveResult(
                hostname=host,
                host=_text(address),
                port=port,
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, protocol, _, address in infos
        ]

    async def close(self) -> None:
        """Do nothing: nothing is held."""


def _domain(host: str) -> str:
    """The last two labels: not always who runs the name server, but always within one's domain."""
    return ".".join(host.rstrip(".").lower().rsplit(".", 2)[-2:])


def _text(address: Address) -> str:
    """The address as text, with the zone that a link-local one needs."""
    host = str(address[0])
    zone = address[3] if len(address) == 4 else 0
    if not zone or "%" in host:
        return host
    with suppress(OSError):
        return f"{host}%{socket.if_indextoname(zone)}"
    return host
