"""Whether workers that lived through all faults hold more afterwards than before."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

import psutil

from chaos.history import Sample

__all__ = ["growth", "take_sample"]

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


def growth(samples: Sequence[Sample]) -> Iterator[str]:
    """Compare the medians of both quiet times, which a few odd moments do not move.

    Yields:
        A sentence for each process that holds more afterwards.
    """
    sides: dict[int, tuple[list[Sample], list[Sample]]] = defaultdict(lambda: ([], []))
    for sample in samples:
        sides[sample.pid][sample.late].append(sample)
    for pid, (early, late) in sides.items():
        if min(len(early), len(late)) < FEWEST:
            continue
        before, after = (statistics.median(each.memory for each in side) for side in (early, late))
        if after > before * (1 + MEMORY_SHARE) + MEMORY_SPARE:
            yield f"process {pid}: {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after"
        before, after = (
            statistics.median(each.descriptors for each in side) for side in (early, late)
        )
        if after > before + DESCRIPTORS_SPARE:
            yield f"process {pid}: {before:.0f} descriptors before, {after:.0f} after"
