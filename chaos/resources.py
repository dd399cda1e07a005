"""Whether workers that lived through all faults hold more afterwards than before."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil

from chaos.history import Sample

__all__ = ["Held", "held", "take_sample"]

MEMORY_SHARE = 0.25
MEMORY_SPARE = 48 * 1024 * 1024
"""A worker's memory may be larger afterwards by this share and so many bytes: buffers have grown to
the size that the backlog after an outage needs, and allocators keep what they had."""

DESCRIPTORS_SPARE = 12
"""Connections that happen to be open: to image hosts, and to brokers that came back."""

FEWEST = 3
"""Samples on each side without which nothing is said."""


def take_sample(pid: int, *, late: bool) -> Sample | None:
    """Look at a process.

    Returns:
        The sample; None if the process is gone.
    """
    try:
        process = psutil.Process(pid)
        return Sample(pid, late, process.memory_info().rss, process.num_fds())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


@dataclass(frozen=True, slots=True)
class Held:
    """What a process held at rest: medians, which a few odd moments do not move.

    Attributes:
        memory: resident bytes before the faults, and after them.
        descriptors: open ones before the faults, and after them.
    """

    pid: int
    memory: tuple[float, float]
    descriptors: tuple[float, float]

    def __str__(self) -> str:
        before, after = (memory / 2**20 for memory in self.memory)
        return (
            f"process {self.pid}: {before:.0f} MiB before, {after:.0f} MiB after; "
            f"{self.descriptors[0]:.0f} descriptors before, {self.descriptors[1]:.0f} after"
        )

    @property
    def grown(self) -> bool:
        """Whether it holds more afterwards than it may."""
        return (
            self.memory[1] > self.memory[0] * (1 + MEMORY_SHARE) + MEMORY_SPARE
            or self.descriptors[1] > self.descriptors[0] + DESCRIPTORS_SPARE
        )


def held(samples: Sequence[Sample]) -> list[Held]:
    """Compare the quiet times before and after all faults.

    Returns:
        The processes that were there in both, in the order in which they were sampled.
    """
    sides: dict[int, tuple[list[Sample], list[Sample]]] = defaultdict(lambda: ([], []))
    for sample in samples:
        sides[sample.pid][sample.late].append(sample)
    return [
        Held(
            pid,
            (_median(each.memory for each in early), _median(each.memory for each in late)),
            (
                _median(each.descriptors for each in early),
                _median(each.descriptors for each in late),
            ),
        )
        for pid, (early, late) in sides.items()
        if min(len(early), len(late)) >= FEWEST
    ]


def _median(values: Iterable[int]) -> float:
    return float(statistics.median(values))
