"""The images with which a bundle is checked wherever it runs: two photographs of this package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from worker.images.decode import decode
from worker.images.encode import encode
from worker.images.limits import Limits
from worker.images.transform import Transform
from worker.model import ModelSpec
from worker.predictor.parity import TIE, Scorer

__all__ = ["COUNT", "CheckImage", "candidates", "choose"]

COUNT = 2
"""Images in a bundle."""

MIDDLE = 0.6
"""Share of each side that the middle of a photograph has."""


@dataclass(frozen=True, slots=True)
class _Photograph:
    file: str
    alt: str
    credit: str


PHOTOGRAPHS = (
    _Photograph("cat.jpg", "A cat", "Chelsea the cat; Stéfan van der Walt, CC0"),
    _Photograph("coffee.jpg", "A cup of coffee", "Coffee; Rachel Michetti, CC0"),
    _Photograph("rocket.jpg", "A rocket at its launch", "Rocket at its launch; SpaceX, CC0"),
)


@dataclass(frozen=True, slots=True)
class CheckImage:
    """An image with known scores.

    Attributes:
        name: without a suffix.
        alt: what it shows.
        credit: who made it, and its licence.
        png: the file; without loss, so that decoders cannot differ.
        crop: `[H, W, 3] uint8`, as the model sees it.
        scores: `[C] float32`, of the model that the bundle is made from.
    """

    name: str
    alt: str
    credit: str
    png: bytes
    crop: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float32]

    @property
    def best(self) -> int:
        """The id of its best class."""
        return int(self.scores.argmax())

    @property
    def lead(self) -> float:
        """How much higher the best score is than the second one."""
        if len(self.scores) < 2:
            return 0.0
        second, best = np.partition(self.scores, -2)[-2:]
        return float(best - second)

    def is_best(self, class_id: int) -> bool:
        """Tell whether a class is the best one, or as good."""
        return bool(self.scores[class_id] >= self.scores.max() * (1 - TIE))


def candidates(spec: ModelSpec, scorer: Scorer, limits: Limits) -> list[CheckImage]:
    """Classify each photograph, whole and its middle.

    Args:
        scorer: the model.

    Returns:
        The images, those with the clearest answers first: in a doubtful one, rounding may decide.
    """
    found = list(_classified(spec, scorer, limits))
    return sorted(found, key=lambda image: -image.lead)


def choose(images: Sequence[CheckImage]) -> list[CheckImage]:
    """Choose the images of a bundle.

    Args:
        images: the clearest one first, `COUNT` at least.

    Returns:
        The first one, and the first of another class if there is one.
    """
    first, *others = images
    others.sort(key=lambda image: image.best == first.best)
    return [first, *others[: COUNT - 1]]


def _classified(spec: ModelSpec, scorer: Scorer, limits: Limits) -> Iterator[CheckImage]:
    transform = Transform(spec.resize, spec.crop, spec.channels)
    directory = files("worker.http.page") / "samples"
    for photograph in PHOTOGRAPHS:
        whole = decode((directory / photograph.file).read_bytes(), limits)
        name = photograph.file.removesuffix(".jpg")
        for part, suffix in ((whole, ""), (_middle(whole), "-middle")):
            crop = transform(part)
            (scores,) = scorer.scores(crop[np.newaxis])
            yield CheckImage(
                name + suffix,
                photograph.alt,
                photograph.credit,
                encode(part, ".png", 100),
                crop,
                scores,
            )


def _middle(bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    top, left = round(height * (1 - MIDDLE) / 2), round(width * (1 - MIDDLE) / 2)
    return bgr[top : height - top, left : width - left]
