"""Waits for work in image processes, and ends where there are none any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from worker.errors import PredictorError

if TYPE_CHECKING:
    from worker.imaging.images import ImageProcesses

__all__ = ["CHECK_INTERVAL", "gather_watched"]

CHECK_INTERVAL = 5.0
"""Seconds between checks that there still are image processes."""

T = TypeVar("T")


async def gather_watched(
    work: Iterable[Coroutine[Any, Any, T]], images: ImageProcesses, interval: float = CHECK_INTERVAL
) -> list[T]:
    """Do all of it at the same time; what fails ends the rest.

    Returns:
        What each of it returned, in order.

    Raises:
        PredictorError: the image processes cannot be started again.
        Exception: whatever one of it raises.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(
                pending, timeout=interval, return_when=asyncio.FIRST_EXCEPTION
            )
            for each in done:
                each.result()
            if pending and images.stalled:
                raise PredictorError("the image processes cannot be started again")
    finally:
        for each in pending:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [each.result() for each in tasks]
