"""What image processes use, for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from worker.clock import Clock
from worker.errors import Stage
from worker.imaging.process import ImageProcess, Role
from worker.metrics import Metrics
from worker.metrics.labels import IMAGE_STAGES
from worker.runtime.process_usage import process_usage

__all__ = ["Usage"]


class Usage:
    """Time in calls, processor time and memory of all image processes together.

    Args:
        processes: those that there are at any time.
        queued: reads the stage of each call that waits for a process.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Clock,
        processes: Iterable[ImageProcess],
        queued: Callable[[], Iterable[Stage]],
    ) -> None:
        self._clock = clock
        self._processes = processes
        self._queued = queued
        self._busy = 0.0
        self._up = 0.0
        self._cpu = 0.0
        # Invariant: these never decrease, as counters must not.
        self._busy_shown = 0.0
        self._up_shown = 0.0
        self._cpu_shown = 0.0
        self._metrics = metrics

    def show(self) -> None:
        """Have the metrics show these processes, and no others."""
        metrics = self._metrics
        metrics.image_processes.set_function(self._usable)
        metrics.image_processes_busy.read = lambda: [((), self._busy_seconds())]
        metrics.image_processes_up.read = lambda: [((), self._up_seconds())]
        metrics.image_processes_cpu.read = lambda: [((), self._cpu_seconds())]
        metrics.image_processes_memory.read = lambda: [((), self._resident_bytes())]
        metrics.queued_images.read = self._queued_images

    def add_busy(self, seconds: float) -> None:
        """Count the time of a call that has ended."""
        self._busy += seconds

    def add_ended(self, process: ImageProcess, cpu: float) -> None:
        """Count the time and the processor time of a process that has ended."""
        self._up += self._clock.monotonic() - process.born
        self._cpu += cpu

    def _usable(self) -> int:
        return sum(process.role is Role.REGULAR for process in self._processes)

    def _busy_seconds(self) -> float:
        now = self._clock.monotonic()
        present = sum(now - process.since for process in self._processes if process.calls)
        self._busy_shown = max(self._busy_shown, self._busy + present)
        return self._busy_shown

    def _up_seconds(self) -> float:
        now = self._clock.monotonic()
        present = sum(now - process.born for process in self._processes)
        self._up_shown = max(self._up_shown, self._up + present)
        return self._up_shown

    def _cpu_seconds(self) -> float:
        present = sum(process_usage(process.pid).cpu_seconds for process in self._processes)
        self._cpu_shown = max(self._cpu_shown, self._cpu + present)
        return self._cpu_shown

    def _resident_bytes(self) -> float:
        return sum(process_usage(process.pid).resident_bytes for process in self._processes)

    def _queued_images(self) -> list[tuple[tuple[Stage], int]]:
        waiting = Counter(self._queued())
        return [((stage,), waiting[stage]) for stage in IMAGE_STAGES]
