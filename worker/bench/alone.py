"""What a single image takes with nothing around it, with which latency is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worker.bench.child import Child
from worker.bench.codec import KEPT_MEMORY
from worker.bench.latency import percentiles
from worker.bench.measurement import Measurement

__all__ = ["NAME", "PACED", "measure"]

NAME = "bare decode, infer, draw"
PACED = ", as rarely"
"""What follows that name where images come at a rate."""


def measure(
    model: Path,
    name: str,
    images: Sequence[Path],
    backend: str,
    threads: int,
    seconds: float,
    *,
    pictures: bool,
    rate: float | None = None,
) -> Measurement:
    """Decode, infer and draw image after image in one process, without any queue.

    Args:
        name: the model's.
        backend: what computes.
        threads: CPU threads of the network.
        rate: images per second, at even distances: between them the processor rests or turns to
            others, as around a worker that has little to do. None is one right after the other.

    Returns:
        Percentiles of the time of an image.
    """
    arguments = str(model), backend, str(threads), *map(str, images)
    environment = {**KEPT_MEMORY, "OMP_NUM_THREADS": str(threads)}
    with Child("worker.bench.alone_process", *arguments, **environment) as child:
        child.answer()
        child.ask(seconds=seconds, pictures=pictures, rate=rate)
        took = sorted(child.answer()["took"])
    details: dict[str, object] = {"backend": backend, "threads": threads, "samples": len(took)}
    if rate is not None:
        details["at_images_per_second"] = rate
    of_load = NAME if rate is None else f"{NAME}{PACED}"
    return Measurement(
        of_load, name, pictures, details={**details, "latency_ms": percentiles(took)}
    )
