"""Answers of name servers are kept for a while, by a clock that the test sets."""

from __future__ import annotations

import asyncio
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from worker.clock import Clock
from worker.images.names import KEPT, Names


class Counting(AbstractResolver):
    """Answers at once, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Holds nothing."""


async def test_an_answer_holds_for_a_while_and_is_then_asked_for_again() -> None:
    resolver, now = Counting(), 1000.0
    names = Names(resolver, Clock(lambda: now))
    assert names.known("a.example", 80) is None
    found = await names.resolve("a.example", 80)
    now += KEPT - 0.1
    assert names.known("a.example", 80) == found
    assert await names.resolve("a.example", 80) == found
    assert resolver.asked == 1
    now += 0.1
    assert names.known("a.example", 80) is None
    await names.resolve("a.example", 80)
    assert resolver.asked == 2
    await names.close()


async def test_tasks_that_ask_for_the_same_name_share_one_question() -> None:
    resolver = Counting()
    names = Names(resolver)
    await asyncio.gather(*(names.resolve("a.example", 80) for _ in range(3)))
    assert resolver.asked == 1
    await names.close()
