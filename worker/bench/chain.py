"""Processes coupled by counting alone: each is told how many images to work on, and given none.

So that several kinds of work keep each other's pace without any image, check or message between
them. The counters are Linux's event descriptors (eventfd(2)), which processes inherit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

__all__ = ["TAKE", "chained", "give", "new_counter", "new_total", "work_on"]

TAKE, GIVE = "take", "give"
"""The fields of a question that name the counters: of what may be done, and of what has been."""

LEAST, MOST = "least", "most"
"""The fields that say how many images are worked on at once."""


def new_counter() -> int:
    """Make a counter, from which takers take one image at a time.

    Returns:
        Its descriptor, which children inherit only if they are told to.
    """
    return os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC)


def new_total() -> int:
    """Make a counter whose taker takes all that there is at once, such as an event loop.

    Returns:
        Its descriptor; reading never blocks.
    """
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def give(counter: int, images: int) -> None:
    """Let the takers of a counter go on with so many images more."""
    os.eventfd_write(counter, images)


def chained(take: int, given: int, least: int = 1, most: int = 1) -> dict[str, int]:
    """Write the fields of a question that has a process work in a chain.

    Args:
        least: images that it waits for.
        most: images that it works on at once, if there are so many.

    Returns:
        The fields.
    """
    return {TAKE: take, GIVE: given, LEAST: least, MOST: most}


def work_on(question: Mapping[str, Any], work: Callable[[int], object]) -> NoReturn:
    """Work as long as the process lives: take a batch's count, do it, and give its count.

    Args:
        question: with the fields of `chained`.
        work: is told how many images it does at once.
    """
    take, given, least, most = (question[field] for field in (TAKE, GIVE, LEAST, MOST))
    while True:
        for _ in range(least):
            os.eventfd_read(take)
        images = least
        while images < most and _take_at_once(take):
            images += 1
        work(images)
        os.eventfd_write(given, images)


def _take_at_once(counter: int) -> bool:
    """Take one image if there is one; other takers may be quicker than any look at it."""
    with suppress(BlockingIOError):
        return os.preadv(counter, [bytearray(8)], -1, os.RWF_NOWAIT) > 0
    return False
