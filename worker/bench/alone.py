"""What a single image takes with nothing around it, with which latency is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worker.bench.child import Child
from worker.bench.codec import KEPT_MEMORY
from worker.bench.latency import percentiles
from worker.bench.measurement import Measurement

__all__ = ["NAME", "measure"]

NAME = "bare decode, infer, draw"


def measure(
    model: Path,
    name: str,
    images: Sequence[Path],
    backend: str,
    threads: int,
    seconds: float,
    *,
    pictures: bool,
) -> Measurement:
    """Decode, infer and draw image after image in one process, without any queue.

    Args:
        name: the model's.
        backend: what computes.
        threads: CPU threads of the network.

    Returns:
        Percentiles of the time of an image.
    """
    arguments = str(model), backend, str(threads), *map(str, images)
    environment = {**KEPT_MEMORY, "OMP_NUM_THREADS": str(threads)}
    with Child("worker.bench.alone_process", *arguments, environment=environment) as child:
        child.answer()
        child.ask(seconds=seconds, pictures=pictures)
        took = sorted(child.answer()["took"])
    details = {
        "backend": backend,
        "threads": threads,
        "samples": len(took),
        "latency_ms": percentiles(took),
    }
    return Measurement(NAME, name, pictures, details=details)
