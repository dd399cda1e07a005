"""The limit, measured in each round beside those that it limits.

Over HTTP it is network and codecs, each alone, and for one client a bare service. Through Kafka it
is a bare program: all floors at once at saturation, and one image after the other at light load.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.bench import Bench
from worker.bench import alone, bare, codec
from worker.inference.placement import available_cores

__all__ = ["LIMIT", "Limit"]

LIMIT = "limit"
"""Its name among the programs."""


class Limit:
    """Of the way over HTTP: the fastest backend, in its best layout and batch, and the codecs.

    Args:
        seconds: of each measurement.
        say: called with what is being measured.

    Raises:
        ModelError: no backend can compute the model.
    """

    def __init__(self, bench: Bench, seconds: float, say: Callable[[str], object]) -> None:
        self._bench = bench
        self._seconds = seconds
        measured = list(bare.measure(bench.model, available_cores(), seconds / 2, say=say))
        self._fastest = bare.best(measured)

    @property
    def backend(self) -> str:
        """What the fastest backend is called."""
        return self._fastest.backend

    def alone(self, *, pictures: bool) -> float:
        """Measure what an image takes that has all cores and no queue.

        Returns:
            Seconds, the median.
        """
        bench, cores = self._bench, available_cores()
        measured = alone.measure(
            bench.model,
            bench.name,
            bench.images,
            self._fastest.backend,
            cores,
            self._seconds,
            pictures=pictures,
        )
        median: float = measured.details["latency_ms"]["p50"]
        return median / 1000

    def measure(self, *, pictures: bool) -> tuple[float, dict[str, float]]:
        """Measure both again.

        Returns:
            Milliseconds of CPU time per image, and how they are made up.
        """
        fastest, bench = self._fastest, self._bench
        (network,) = bare.measure_layout(
            bench.model, fastest.backend, fastest.layout, self._seconds, (fastest.batch,)
        )
        codecs = codec.measure(
            bench.model, bench.name, bench.images, self._seconds, pictures=pictures
        )
        parts = {
            fastest.backend: network.ms_cpu_per_image,
            "codecs": codecs.ms_cpu_per_image or 0.0,
        }
        return sum(parts.values()), parts
