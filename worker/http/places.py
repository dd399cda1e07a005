"""How many connections a port has: one that waits for its client makes room for a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.metrics import Metrics
from worker.metrics.labels import MADE_ROOM, NO_ROOM

__all__ = ["Place", "Places"]


class Places:
    """The places of one port; for one event loop.

    A connection waits for its client while TLS is negotiated, until a request's head is there,
    while the answer is read, and between requests. A client that opens connections and lets them
    wait loses the oldest of them to the next client; so it keeps no probe out. A request under way
    is never interrupted: `http.max_jobs` bounds these below the number of places.

    Args:
        most: connections at a time.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._taken: set[Place] = set()
        # Those that wait for their clients, the longest first.
        self._waiting: dict[Place, None] = {}

    def __len__(self) -> int:
        """How many are taken."""
        return len(self._taken)

    def take(self, abort: Callable[[], object]) -> Place | None:
        """Take a place for a new connection, which waits for its client.

        Args:
            abort: ends the connection at once.

        Returns:
            The place; None if all have requests under way.
        """
        if len(self._taken) >= self._most:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                self._metrics.turned_away.labels(NO_ROOM).inc()
                return None
            oldest.leave()
            self._metrics.turned_away.labels(MADE_ROOM).inc()
            oldest.abort()
        place = Place(self, abort)
        self._taken.add(place)
        self._waiting[place] = None
        self._metrics.connections.inc()
        return place

    def _busy(self, place: Place) -> None:
        self._waiting.pop(place, None)

    def _wait(self, place: Place) -> None:
        if place in self._taken:
            self._waiting[place] = None

    def _leave(self, place: Place) -> None:
        self._waiting.pop(place, None)
        if place in self._taken:
            self._taken.remove(place)
            self._metrics.connections.dec()


class Place:
    """A connection's place among `Places`.

    Attributes:
        abort: ends the connection at once; set anew by what takes the connection over.
    """

    def __init__(self, places: Places, abort: Callable[[], object]) -> None:
        self._places = places
        self.abort = abort

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep the connection while its request is under way."""
        self._places._busy(self)  # noqa: SLF001 - the two are one
        try:
            yield
        finally:
            self._places._wait(self)  # noqa: SLF001

    def leave(self) -> None:
        """Give it back; again does nothing."""
        self._places._leave(self)  # noqa: SLF001
