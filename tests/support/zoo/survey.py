"""How one exported model fares on the path that jobs take, in numbers."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.paths import IMAGES
from worker.device import CPU
from worker.engine.categories import choose_categories
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.model import ModelSpec, load_model_spec
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.settings import DecodeSettings

__all__ = ["Survey", "survey"]

# Others than those which the weights are made with.
PHOTOGRAPHS = ("gray.jpg", "lossy.webp", "strip_2000x20.jpg")
THREADS = 2


@dataclass(frozen=True, slots=True)
class Survey:
    """What came out.

    Attributes:
        name: of the model.
        classes: that it tells apart.
        labels: that it names.
        input_size: `(height, width)` in pixels.
        backend: what computes it here.
        onednn_deviation: largest difference between the scores of oneDNN and of plain Paddle.
        deviation: the same for the predictor that the worker uses.
        same_best: whether that predictor and plain Paddle put the same class first every time.
        best: the labels put first.
        milliseconds: for one image, with 2 threads.
    """

    name: str
    classes: int
    labels: int
    input_size: tuple[int, int]
    backend: str
    onednn_deviation: float
    deviation: float
    same_best: bool
    best: list[str]
    milliseconds: float


def survey(directory: Path) -> Survey:
    """Classify three photographs with the model, as the worker does and as plain Paddle does."""
    spec = load_model_spec(directory)
    crops = _crops(spec)
    plain = _scores(Predictor(spec, PaddleBackend(spec, CPU, THREADS, onednn=False)), crops)
    fast = _scores(Predictor(spec, PaddleBackend(spec, CPU, THREADS)), crops)
    predictor = load_predictor(spec, CPU, THREADS)
    scores = _scores(predictor, crops)
    began = time.perf_counter()
    predictor.scores(crops[:1])
    seconds = time.perf_counter() - began
    return Survey(
        name=spec.name,
        classes=predictor.classes,
        labels=len(spec.labels),
        input_size=spec.input_size,
        backend=predictor.backend,
        onednn_deviation=float(np.abs(fast - plain).max()),
        deviation=float(np.abs(scores - plain).max()),
        same_best=bool((scores.argmax(axis=1) == plain.argmax(axis=1)).all()),
        best=[choose_categories(row, 1, spec)[0].name for row in scores],
        milliseconds=seconds * 1000,
    )


def _crops(spec: ModelSpec) -> npt.NDArray[np.uint8]:
    transform, limits = Transform(spec.resize, spec.crop, spec.channels), DecodeSettings()
    files = [(IMAGES / name).read_bytes() for name in PHOTOGRAPHS]
    return np.stack([prepare(data, transform, limits, None).crop for data in files])


def _scores(predictor: Predictor, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    # One by one: plain Paddle's memory for a batch of large images is large, too.
    return np.concatenate([predictor.scores(crop[None]) for crop in crops])


def main() -> None:
    """Print the survey of a model's directory as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory", type=Path)
    json.dump(asdict(survey(parser.parse_args().directory)), sys.stdout)


if __name__ == "__main__":
    main()
