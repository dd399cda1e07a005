"""What the limit computes with; it is measured in each round beside those that it limits.

`LIMIT` is a bare program or service: all floors at once where many images are on their way, and one
image after the other where one is. `APART` is one that hands images over.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.bench import Bench
from worker.bench import alone
from worker.bench.limit import Contender, contenders
from worker.bench.run import Subject, measure_bare
from worker.inference.placement import available_cores

__all__ = ["APART", "LIMIT", "LIMITS", "backends", "seconds_alone"]

LIMIT = "limit"
"""Its name among the programs."""

APART = "limit apart"
"""Over HTTP: hands each image, of one client too, over to codecs and predictors in processes of
their own, which the worker needs, since an image may end the process that works on it."""

LIMITS = (LIMIT, APART)


def backends(bench: Bench, seconds: float, say: Callable[[str], object]) -> list[Contender]:
    """Measure all backends on prepared tensors.

    Args:
        seconds: of each layout.
        say: called with what is being measured.

    Returns:
        Those about as fast as the fastest, which is the first one.

    Raises:
        ModelError: none can compute the model.
    """
    subject = Subject(bench.model, bench.name, bench.images, seconds)
    return contenders(list(measure_bare(subject, say)))


def seconds_alone(bench: Bench, backend: str, seconds: float, *, pictures: bool) -> float:
    """Measure what an image takes that has all cores and no queue.

    Args:
        seconds: of the measurement.

    Returns:
        Seconds, the median.
    """
    cores = available_cores()
    measured = alone.measure(
        bench.model, bench.name, bench.images, backend, cores, seconds, pictures=pictures
    )
    median: float = measured.details["latency_ms"]["p50"]
    return median / 1000
