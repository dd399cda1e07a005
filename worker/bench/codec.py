"""The codec floor: what decoding, scaling, drawing and encoding take of an image, alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worker.bench.child import Child
from worker.bench.measurement import Measurement
from worker.settings import PictureSettings

__all__ = ["KEPT_MEMORY", "measure", "start"]

KEPT_MEMORY = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
}
"""As for image processes: see `worker.imaging.nursery`."""


def measure(
    model: Path, name: str, images: Sequence[Path], seconds: float, *, pictures: bool
) -> Measurement:
    """Measure the codecs in a process of one thread.

    Args:
        model: says how images are scaled and cropped.
        name: the model's.

    Returns:
        CPU time per image, and how it is made up.

    Raises:
        WorkerError: an image cannot be used; it is named.
    """
    with start(model, images) as child:
        child.answer()
        child.ask(seconds=seconds, pictures=pictures)
        answer = child.answer()
    count = answer["images"]
    stages = {"decode, transform": answer["prepare"], "draw, encode": answer["draw"]}
    milliseconds = {stage: cpu / count * 1000 for stage, cpu in stages.items()}
    if not pictures:
        del milliseconds["draw, encode"]
    cpu = sum(milliseconds.values())
    details = {"ms_cpu_by_kind": milliseconds}
    return Measurement("codec floor", name, pictures, 1000 / cpu, cpu, details)


def start(model: Path, images: Sequence[Path], descriptors: Sequence[int] = ()) -> Child:
    """Start a process that decodes and draws these images in turn.

    Args:
        model: as for `measure`.
        descriptors: those that it inherits.

    Returns:
        The process, which answers when it is ready.
    """
    settings = PictureSettings()
    limits = str(settings.quality), str(settings.max_side)
    arguments = str(model), *limits, *map(str, images)
    return Child(
        "worker.bench.codec_process", *arguments, descriptors=descriptors, environment=KEPT_MEMORY
    )
