"""Looks at workers again and again, each in a thread of its own: none waits for another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from worker.top.figures import Change
from worker.top.scrape import Address, ScrapeError, Snapshot, scrape

__all__ = ["Seen", "Watch", "look_twice"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a worker.

    Attributes:
        last: the last look at it; None while it does not answer.
        change: what changed between the last two looks; None before there are two.
        problem: why it does not answer, or empty.
    """

    address: Address
    last: Snapshot | None = None
    change: Change | None = None
    problem: str = ""

    def look(self) -> Seen:
        """Look again.

        Returns:
            What is known then. A worker that does not answer is begun with anew when it does.
        """
        try:
            now = scrape(self.address)
        except ScrapeError as error:
            return Seen(self.address, problem=str(error))
        return Seen(self.address, now, None if self.last is None else Change(self.last, now))


class Watch:
    """Looks at workers until it is stopped; a context manager.

    Args:
        interval: seconds between two looks at a worker.
        changed: called by any thread when something new is known, and not after the end.
    """

    def __init__(
        self, addresses: Sequence[Address], interval: float, changed: Callable[[], object]
    ) -> None:
        self._interval = interval
        self._changed = changed
        self._stopped = threading.Event()
        self._telling = threading.Lock()
        # Invariant: each thread replaces its own item alone.
        self._seen = [Seen(address) for address in addresses]

    def __enter__(self) -> Self:
        for index in range(len(self._seen)):
            # Daemons: a worker that hangs must not hold up the end.
            name = f"look-at-{self._seen[index].address.name}"
            threading.Thread(target=self._run, args=(index,), name=name, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._telling:
            self._stopped.set()

    @property
    def seen(self) -> list[Seen]:
        """What is known of each worker now."""
        return list(self._seen)

    def _run(self, index: int) -> None:
        while not self._stopped.is_set():
            seen = self._seen[index] = self._seen[index].look()
            with self._telling:
                if not self._stopped.is_set():
                    self._changed()
            # The first figures need two looks: soon.
            soon = seen.last is not None and seen.change is None
            self._stopped.wait(min(1.0, self._interval) if soon else self._interval)


def look_twice(addresses: Sequence[Address], interval: float) -> list[Seen]:
    """Look at all workers twice, `interval` seconds apart.

    Returns:
        What is known of each.
    """
    seen = [Seen(address) for address in addresses]

    def look(index: int) -> None:
        first = seen[index].look()
        # A look that failed is not repeated: it has waited already.
        seen[index] = first if first.last is None or pause.wait(interval) else first.look()

    pause = threading.Event()
    threads = [
        threading.Thread(target=look, args=(index,), daemon=True) for index in range(len(seen))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen
