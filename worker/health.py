"""Liveness is progress, not a running process: polls, event loop and predictors that move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from worker.clock import SYSTEM_CLOCK, Clock
from worker.metrics import Metrics

__all__ = ["Health", "Heartbeat", "watch_event_loop"]

LOOP_TICK = 0.05
"""Seconds between two looks at the event loop; a stall shorter than that can pass unseen."""

LOOP_WINDOW = 100
"""Ticks over which the longest stall is shown."""


@dataclass(slots=True)
class Heartbeat:
    """The last time that something moved.

    Attributes:
        limit: seconds without a beat after which it counts as stuck.
    """

    limit: float
    clock: Clock = SYSTEM_CLOCK
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.clock.monotonic()

    def beat(self) -> None:
        """Note that there is progress."""
        self.last = self.clock.monotonic()

    @property
    def alive(self) -> bool:
        """Whether there was a beat within the limit."""
        return self.clock.monotonic() - self.last <= self.limit


class Health:
    """What the probes answer.

    Attributes:
        poll: beats with every poll.
        predictor_stalled: asks whether a predictor holds a batch for too long.
        images_stalled: asks whether no image process could be had for too long.
        brokers_lost: asks whether no broker has answered for some time; `refresh` after a change.
        on_change: called with why the worker is not ready, whenever that may have changed.
        pulling: whether the model is being pulled, which can take minutes: why it is not warm.
        changing: what a change of the model is doing, which leaves the worker ready: the one before
            serves meanwhile; else empty.
        selecting: what the selection of the backend is doing, which takes part of a minute: why it
            is not warm; else empty.
    """

    def __init__(self, poll_limit: float, metrics: Metrics, *, kafka: bool = True) -> None:
        self.poll = Heartbeat(poll_limit)
        self.predictor_stalled: Callable[[], bool] = lambda: False
        self.images_stalled: Callable[[], bool] = lambda: False
        self.brokers_lost: Callable[[], bool] = lambda: False
        self.on_change: Callable[[Sequence[str]], None] = lambda _: None
        self.pulling = False
        self.selecting = ""
        self.changing = ""
        metrics.model_changing.set_function(lambda: bool(self.changing))
        self._metrics = metrics
        self._kafka = kafka
        self._missing = {"warm": True} | ({"assigned": True} if kafka else {})
        self._draining = False

    def set_warm(self) -> None:
        """Note that the predictors are ready."""
        self._missing["warm"] = False
        # The first poll is due from now on, however long loading took.
        self.poll.beat()
        self.refresh()

    def set_assigned(self, assigned: bool) -> None:
        """Note whether the group has assigned partitions (none, to a spare replica)."""
        self._missing["assigned"] = not assigned
        self.refresh()

    def set_publishing(self, allowed: bool) -> None:
        """Note whether the brokers let this worker write to its topics; if not, its jobs wait."""
        self._missing["publishing"] = not allowed
        self.refresh()

    def set_draining(self) -> None:
        """Note that the worker is stopping."""
        self._draining = True
        self.refresh()

    def not_ready(self) -> list[str]:
        """Explain why the worker is not ready.

        Returns:
            The reasons; none when it is ready.
        """
        reasons = ["pulling the model"] if self.pulling else []
        reasons += [self.selecting] if self.selecting else []
        reasons += [f"not {name}" for name, missing in self._missing.items() if missing]
        reasons += ["no broker answers"] if self.brokers_lost() else []
        return reasons + (["draining"] if self._draining else [])

    def not_live(self) -> list[str]:
        """Explain why the worker is stuck. A frozen event loop answers no probe.

        Returns:
            The reasons; none when it makes progress.
        """
        reasons = []
        if self._kafka and not self.poll.alive and not self._missing["warm"]:
            reasons.append(f"no poll for {self.poll.limit:g} s")
        if self.predictor_stalled():
            reasons.append("a predictor makes no progress")
        if self.images_stalled():
            reasons.append("no process decodes images")
        return reasons

    def refresh(self) -> None:
        """Show and tell what has changed."""
        reasons = self.not_ready()
        self._metrics.ready.set(not reasons)
        self.on_change(reasons)


async def watch_event_loop(metrics: Metrics) -> None:
    """Show the longest stall of the event loop over the last seconds, until cancelled."""
    loop = asyncio.get_running_loop()
    worst: list[float] = []
    while True:
        due = loop.time() + LOOP_TICK
        await asyncio.sleep(LOOP_TICK)
        worst = [*worst[-LOOP_WINDOW + 1 :], max(0.0, loop.time() - due)]
        metrics.loop_lag.set(max(worst))
