"""Where the time comes from: what decides by it, or pauses before another attempt, has a `Clock`.

So tests set the time, and none waits for it. Two kinds of code have none. What sets timers of the
event loop (`asyncio.timeout_at`, `call_at`, ticks) compares with `loop.time()`, the one that agrees
with them: uvloop's counts milliseconds. What only measures for a metric or a message, or bounds a
wait of the operating system, reads `time.monotonic`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["SYSTEM_CLOCK", "Clock"]


async def _sleep(seconds: float) -> None:
    import asyncio  # noqa: PLC0415 - commands without an event loop do not pay for it

    await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, pauses, and the random numbers that spread them; tests pass their own.

    Attributes:
        monotonic: seconds since some point; never goes back.
        wall: seconds since the epoch, in which deadlines are given.
        sleep: waits so many seconds in an event loop.
        block: waits so many seconds in a thread.
        uniform: a random number between two bounds.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = _sleep
    block: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform


SYSTEM_CLOCK = Clock()
