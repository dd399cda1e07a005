"""At most so many holders per host, in the order they came; forgets hosts that nobody holds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["HostLimit"]


class _Gate:
    def __init__(self, most: int) -> None:
        self.semaphore = asyncio.Semaphore(most)
        # Invariant: holders plus waiters; the gate is in the table exactly while it is above 0.
        self.users = 0


class HostLimit:
    """Lets at most `most` tasks at a time hold the same host.

    One slow host then keeps its own fetches waiting, and nobody else's.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._gates: dict[str, _Gate] = {}

    def __len__(self) -> int:
        """Hosts that are held or waited for."""
        return len(self._gates)

    @asynccontextmanager
    async def hold(self, host: str) -> AsyncIterator[None]:
        """Wait for a place at `host` and keep it for the duration of the block."""
        gate = self._gates.setdefault(host, _Gate(self._most))
        gate.users += 1
        try:
            async with gate.semaphore:
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[host]
