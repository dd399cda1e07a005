"""Whether any broker can be reached: without one a worker takes no jobs and writes no answers."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from worker.clock import SYSTEM_CLOCK, Clock

__all__ = ["Reach"]

PATIENCE = 10.0
"""Seconds without a connection to any broker that are still a broker's restart."""

INTERVAL = 1.0
"""Seconds between two looks."""

log = structlog.get_logger(__name__)


class Reach:
    """Watches whether there is a connection to any broker.

    Args:
        connected: tells whether there is one now. Idle ones must not be closed.
        on_change: called when all brokers are lost, and when one is back.
    """

    def __init__(
        self,
        connected: Callable[[], bool],
        on_change: Callable[[], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._connected = connected
        self._on_change = on_change
        self._clock = clock
        self._last = clock.monotonic()

    def lost(self) -> bool:
        """Tell whether no broker has been connected for `PATIENCE` seconds; at once, if one is."""
        now = self._clock.monotonic()
        if self._connected():
            self._last = now
        return now - self._last > PATIENCE

    async def run(self) -> None:
        """Watch until cancelled."""
        was = False
        while True:
            if (lost := self.lost()) is not was:
                was = lost
                if lost:
                    log.warning("no_broker_answers", seconds=PATIENCE)
                else:
                    log.info("broker_answers_again")
                self._on_change()
            await self._clock.sleep(INTERVAL)
