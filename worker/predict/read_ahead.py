"""How far a pipeline works ahead of its caller: in order, and bounded in images and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["MAX_BYTES", "Pending", "work_ahead"]

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of images under way at which no more are begun; as for the worker (`intake.max_bytes`),
what is begun by then may go beyond."""

_FALL = 1 / 16
"""Part of the way by which what images are expected to hold falls with each that holds less."""

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
    few: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> Iterator[P]:
    """Begin with images before their turn comes.

    Args:
        sources: taken from by the caller's thread, and no further than is said here.
        begin: begins with one of them.
        count: most images under way.
        in_groups: whether nothing is taken before all that was begun has been yielded.
        few: images that may be under way whatever they are expected to hold; None is `count`.
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
    room = _Room(count, count if few is None else few, max_bytes)
    try:
        while True:
            while more and room.has(under_way):
                try:
                    under_way.append(begin(next(remaining)))
                except StopIteration:
                    more = False
                except Exception as error:  # noqa: BLE001 - raised in its turn
                    failure, more = error, False
            if not under_way:
                break
            for _ in range(len(under_way) if in_groups else 1):
                yield under_way[0]
                room.note(under_way.popleft())
        if failure is not None:
            raise failure
    finally:
        for each in under_way:
            each.cancel()


class _Room:
    """Says whether one image more may be under way.

    What an image holds is known once it is decoded, and then it is too late for those that were
    begun after it. So each is expected to hold as much as the largest of late: images of one size
    come in runs, and a mean would let large ones after many small ones all be begun.
    """

    def __init__(self, count: int, few: int, max_bytes: int) -> None:
        self._count, self._few, self._max_bytes = count, few, max_bytes
        self._yielded, self._expected = 0, 0.0

    def note(self, image: Pending) -> None:
        """Take note of one that has been yielded."""
        self._yielded += 1
        fallen = self._expected + (image.nbytes - self._expected) * _FALL
        self._expected = max(image.nbytes, fallen)

    def has(self, under_way: Collection[Pending]) -> bool:
        begun = len(under_way)
        if begun == 0:
            return True
        if begun >= self._count or sum(each.nbytes for each in under_way) >= self._max_bytes:
            return False
        if begun < self._few:
            return True
        # Not all at once for a first one that is small.
        if begun >= self._few + self._yielded:
            return False
        largest = max(self._expected, *(each.nbytes for each in under_way))
        return begun * largest < self._max_bytes
