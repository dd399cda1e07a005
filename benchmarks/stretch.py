"""A stretch of steady work: from some results after the beginning to some before the end."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.results import ResultCounter
from worker.bench.process_tree import look, spent

__all__ = ["Stretch", "measure_stretch"]

WARM_SHARE = 0.15
"""Share of the jobs before and after the stretch: filling and draining are left out."""

TIMEOUT = 300.0
MEMORY_POLL = 0.5


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a program did in a stretch.

    Attributes:
        images: results in it.
        seconds: its length.
        ms_cpu_by_kind: CPU time per image of the program's processes, by kind of process or thread.
        peak_mb: most memory of all its processes at a time, in MB, shared memory counted once.
    """

    images: int
    seconds: float
    ms_cpu_by_kind: dict[str, float]
    peak_mb: float

    @property
    def images_per_second(self) -> float:
        """Acknowledged results per second."""
        return self.images / self.seconds

    @property
    def ms_cpu_per_image(self) -> float:
        """CPU time per image of all processes."""
        return sum(self.ms_cpu_by_kind.values())


async def measure_stretch(
    counter: ResultCounter,
    pids: Sequence[int],
    jobs: int,
    at_edge: Callable[[], object] = lambda: None,
) -> Stretch:
    """Measure programs while they do jobs that wait in a topic.

    Args:
        pids: the programs; what they start counts with them.
        jobs: how many wait, or waited when the programs started.
        at_edge: called where the stretch begins and where it ends.

    Returns:
        What they did together.

    Raises:
        RuntimeError: they are done before anything can be measured.
        TimeoutError: the jobs are not done in time.
    """
    begun, at = await counter.wait_for(jobs * WARM_SHARE, TIMEOUT)
    before = [look(pid) for pid in pids]
    at_edge()
    peak = 0
    watching = asyncio.create_task(counter.wait_for(jobs * (1 - WARM_SHARE), TIMEOUT))
    while not watching.done():
        # In a thread: it takes milliseconds, in which the counter would not count.
        peak = max(peak, await asyncio.to_thread(_memory, pids))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(watching), MEMORY_POLL)
    done, end = await watching
    after = [look(pid) for pid in pids]
    at_edge()
    images = done - begun
    if not images:
        raise RuntimeError(f"{jobs} jobs were done between two looks at the results: give more")
    used: dict[str, float] = defaultdict(float)
    for one, other in zip(before, after, strict=True):
        for kind, seconds in spent(one, other).items():
            used[kind] += seconds * 1000 / images
    return Stretch(images, end - at, dict(used), peak / 1e6)


def _memory(pids: Sequence[int]) -> int:
    return sum(look(pid).memory for pid in pids)
