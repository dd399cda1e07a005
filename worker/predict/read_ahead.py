"""How far a pipeline works ahead of its caller: in order, and bounded in images and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["MAX_BYTES", "Pending", "work_ahead"]

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of images under way at which no more are begun; as for the worker (`intake.max_bytes`),
what is begun by then may go beyond."""

T = TypeVar("T")


class Pending(Protocol):
    """An image that is under way."""

    @property
    def nbytes(self) -> int:
        """Bytes that it holds, as far as is known."""
        ...

    def cancel(self) -> object:
        """Withdraw it; its answer is no longer wanted."""
        ...


P = TypeVar("P", bound=Pending)


def work_ahead(
    sources: Iterable[T],
    begin: Callable[[T], P],
    count: int,
    *,
    in_groups: bool,
    max_bytes: int = MAX_BYTES,
) -> Iterator[P]:
    """Begin with images before their turn comes.

    Args:
        sources: taken from by the caller's thread, and no further than is said here.
        begin: begins with one of them.
        count: most images under way.
        in_groups: whether nothing is taken before all that was begun has been yielded.
        max_bytes: bytes of what is under way at which nothing more is taken.

    Yields:
        What was begun, in order. More is begun when the next one is asked for; what has been begun
        is withdrawn when no more is.

    Raises:
        Exception: what `sources` or `begin` raises, after what was begun before.
    """
    under_way: deque[P] = deque()
    remaining = iter(sources)
    failure: Exception | None = None
    more = True
    try:
        while True:
            while more and _has_room(under_way, count, max_bytes):
                try:
                    under_way.append(begin(next(remaining)))
                except StopIteration:
                    more = False
                except Exception as error:  # noqa: BLE001 - raised in its turn
                    failure, more = error, False
            if not under_way:
                break
            yield under_way[0]
            under_way.popleft()
            while in_groups and under_way:
                yield under_way[0]
                under_way.popleft()
        if failure is not None:
            raise failure
    finally:
        for each in under_way:
            each.cancel()


def _has_room(under_way: deque[P], count: int, max_bytes: int) -> bool:
    return not under_way or (
        len(under_way) < count and sum(each.nbytes for each in under_way) < max_bytes
    )
