"""One image after the other through decoding, the network and drawing, in one process.

Arguments OWNER MODEL BACKEND THREADS IMAGE...: what a single image takes when nothing is around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from worker.bench.child import Answer, Question, UnusableImageError, answer_questions
from worker.bench.codec_process import LABEL
from worker.device import CPU
from worker.errors import JobError
from worker.images.draw import draw
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.inference.protocol import BackendName
from worker.model import load_model_spec
from worker.predictor.loading import ONNX_BACKENDS, load_predictor
from worker.settings import DecodeSettings, PictureSettings

__all__ = ["main"]


def main() -> None:
    """Answer `{seconds, pictures, rate}` with `{took}`: seconds of each image."""
    answer_questions(_prepare)


def _prepare(arguments: list[str]) -> Callable[[Question], Answer]:
    model, backend, threads, *paths = arguments
    images = [Path(path).read_bytes() for path in paths]
    spec = load_model_spec(Path(model))
    name: BackendName = backend if backend in ONNX_BACKENDS else "paddle"  # type: ignore[assignment]
    predictor = load_predictor(spec, CPU, int(threads), name)
    transform = Transform(spec.resize, spec.crop, spec.channels)
    decode, settings = DecodeSettings(), PictureSettings()

    def one(image: bytes, side: int | None) -> None:
        prepared = prepare(image, transform, decode, side)
        (scores,) = predictor.scores(prepared.crop[None])
        if prepared.picture is not None:
            draw(prepared.picture, LABEL, float(scores.max()), settings.quality)

    def run(question: Question) -> Answer:
        side = settings.max_side if question["pictures"] else None
        for path, image in zip(paths, images, strict=True):
            try:
                one(image, side)
            except JobError as error:
                raise UnusableImageError(f"{path}: {error}") from error
        took: list[float] = []
        apart = 1 / question["rate"] if question["rate"] else 0.0
        due = time.perf_counter()
        end = due + question["seconds"]
        while time.perf_counter() < end or not took:
            for image in images:
                due += apart
                time.sleep(max(0.0, due - time.perf_counter()) if apart else 0.0)
                began = time.perf_counter()
                one(image, side)
                took.append(time.perf_counter() - began)
        return {"took": took}

    return run
