"""The codecs alone; arguments OWNER MODEL QUALITY SIDE IMAGE...

What an image process does to an image, without the process around it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.bench import chain
from worker.bench.child import Answer, Question, UnusableImageError, answer_questions
from worker.errors import JobError
from worker.images.draw import draw
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.model import load_model_spec
from worker.settings import DecodeSettings

__all__ = ["LABEL", "main"]

LABEL = "dalmatian, coach dog, carriage dog"


def main() -> None:
    """Answer `{seconds, pictures}` with `{images, prepare, draw}`, or be in a chain.

    CPU time is in seconds.
    """
    answer_questions(_prepare)


def _prepare(arguments: list[str]) -> Callable[[Question], Answer]:
    model, quality, side, *paths = arguments
    images = [Path(path).read_bytes() for path in paths]
    spec = load_model_spec(Path(model))
    transform = Transform(spec.resize, spec.crop, spec.channels)
    decode = DecodeSettings()
    for path, image in zip(paths, images, strict=True):
        try:
            prepare(image, transform, decode, None)
        except JobError as error:
            raise UnusableImageError(f"{path}: {error}") from error

    def once(each: Sequence[bytes], picture_side: int | None) -> tuple[float, float]:
        """CPU time of preparing these, and of drawing on them."""
        preparing = drawing = 0.0
        for image in each:
            began = time.process_time()
            prepared = prepare(image, transform, decode, picture_side)
            decoded = time.process_time()
            preparing += decoded - began
            if prepared.picture is not None:
                draw(prepared.picture, LABEL, 0.5, int(quality))
                drawing += time.process_time() - decoded
        return preparing, drawing

    def run(question: Question) -> Answer:
        picture_side = int(side) if question["pictures"] else None
        once(images, picture_side)
        if chain.TAKE in question:
            turns = itertools.cycle(images)
            chain.work_on(question, lambda _: once([next(turns)], picture_side))
        end, count, preparing, drawing = time.perf_counter() + question["seconds"], 0, 0.0, 0.0
        while time.perf_counter() < end or not count:
            prepared, drawn = once(images, picture_side)
            preparing, drawing = preparing + prepared, drawing + drawn
            count += len(images)
        return {"images": count, "prepare": preparing, "draw": drawing}

    return run
