"""One image after the other through decoding, the network and drawing, in one process.

Arguments OWNER MODEL BACKEND THREADS IMAGE...: what a single image takes when nothing is around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

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
from worker.runtime.helper_threads import HelperThreads, other_threads
from worker.settings import DecodeSettings, PictureSettings

__all__ = ["Alone", "main"]


def main() -> None:
    """Answer `{seconds, pictures}` with `{took}`: seconds of each image."""
    answer_questions(_prepare)


class Alone:
    """Decodes, infers and draws, an image at a time, in the thread that calls.

    The network's threads are treated as a worker treats them for an image that comes alone.

    Args:
        model: its directory.
        threads: CPU threads of the network.

    Raises:
        ModelError: the backend cannot load the model.
    """

    def __init__(self, model: Path, backend: str, threads: int) -> None:
        spec = load_model_spec(model)
        name: BackendName = backend if backend in ONNX_BACKENDS else "paddle"  # type: ignore[assignment]
        self._predictor = load_predictor(spec, CPU, threads, name, solo=threads > 1)
        # Libraries start threads with their first work.
        self._predictor.scores(np.zeros((1, *spec.input_size, 3), np.uint8))
        self._helpers = HelperThreads(other_threads())
        self._transform = Transform(spec.resize, spec.crop, spec.channels)
        self._decode, self._settings = DecodeSettings(), PictureSettings()

    def classify(self, image: bytes, *, picture: bool) -> bytes | None:
        """Do all that is done to an image.

        Returns:
            The labelled picture, if there is to be one.

        Raises:
            JobError: the image cannot be used.
        """
        side = self._settings.max_side if picture else None
        prepared = prepare(image, self._transform, self._decode, side)
        self._helpers.leave_core()
        (scores,) = self._predictor.scores(prepared.crop[None])
        if prepared.picture is None:
            return None
        return draw(prepared.picture, LABEL, float(scores.max()), self._settings.quality)


def _prepare(arguments: list[str]) -> Callable[[Question], Answer]:
    model, backend, threads, *paths = arguments
    images = [Path(path).read_bytes() for path in paths]
    alone = Alone(Path(model), backend, int(threads))

    def run(question: Question) -> Answer:
        pictures = question["pictures"]
        for path, image in zip(paths, images, strict=True):
            try:
                alone.classify(image, picture=pictures)
            except JobError as error:
                raise UnusableImageError(f"{path}: {error}") from error
        took: list[float] = []
        end = time.perf_counter() + question["seconds"]
        while time.perf_counter() < end or not took:
            for image in images:
                began = time.perf_counter()
                alone.classify(image, picture=pictures)
                took.append(time.perf_counter() - began)
        return {"took": took}

    return run
