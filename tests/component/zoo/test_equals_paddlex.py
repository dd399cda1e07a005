"""The same classes in the same order with the same scores as PaddleX 3.7.2 answers.

Its answers are kept in tests/data/zoo. Two models gave them: one resizes with OpenCV's bilinear
filter, the other one with Pillow's bicubic. They are exported anew from their seeds, and what their
calibration measured is kept, so that their weights are the same to the last bit.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.paths import DATA
from tests.support.zoo.exporting import Export
from worker.contract.jobs import Category
from worker.device import CPU
from worker.engine.categories import choose_categories
from worker.errors import JobError
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.model import load_model_spec
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.settings import DecodeSettings

TOLERANCE = 1e-3
"""Its scores with and without oneDNN differ by up to 1.2e-4, and are rounded to five digits."""

WEIGHTS = {
    "PP-LCNet_x0_25": "5eb6ab4e5a55b703e6d750b8f6b2af17bddc43e4103a3eb0ba174d0457ea3ee8",
    "StarNet-S1": "0c2e095fa35852f15d87fa2243b7c214023610aa1101be1524a76d005c2fe726",
}


def photograph(name: str) -> Image.Image:
    with Image.open(DATA / "images" / name) as image:
        return image.convert("RGB")


def saved(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def rgb16() -> bytes:
    wide = np.asarray(photograph("chelsea.png"))[:, :, ::-1].astype(np.uint16) * 257
    return bytes(cv2.imencode(".png", wide)[1])


def rgba() -> bytes:
    astronaut = resources.files("skimage.data").joinpath("astronaut.png").read_bytes()
    image = Image.open(io.BytesIO(astronaut)).convert("RGB")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return saved(image, "PNG")


# Lossless copies of photographs that are here anyway.
MADE: Mapping[str, Callable[[], bytes]] = {
    "chelsea.bmp": lambda: saved(photograph("chelsea.png"), "BMP"),
    "chelsea.tiff": lambda: saved(photograph("chelsea.png"), "TIFF"),
    "rgb16.png": rgb16,
    "rgba.png": rgba,
    "noext": (DATA / "images/astronaut.jpg").read_bytes,
    "empty.jpg": lambda: b"",
    "text.jpg": lambda: b"this is not an image\n",
}

LEFT_OUT = {
    "huge_6000x4000.jpg",  # too large to keep; the answer to it was compared once
    "truncated.jpg",  # PaddleX classifies uninitialised memory; it is refused here
}
REFUSED_BY_BOTH = {"empty.jpg", "text.jpg"}
LIKE = {
    # PaddleX judges files by their names. The content decides here.
    "noext": "astronaut.jpg",
    "palette.gif": "palette.png",
}


def recorded(model: str) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((DATA / f"zoo/{model}.json").read_text("utf-8"))
    return {name: answer for name, answer in answers["answers"].items() if name not in LEFT_OUT}


def data_of(name: str) -> bytes:
    return MADE[name]() if name in MADE else (DATA / "images" / name).read_bytes()


@dataclass
class Core:
    """What the engine does with an image: decode, transform, predict, choose."""

    directory: Path

    def __post_init__(self) -> None:
        self.spec = load_model_spec(self.directory)
        self.transform = Transform(self.spec.resize, self.spec.crop, self.spec.channels)
        self.predictor: Predictor = load_predictor(self.spec, CPU, 1)

    def classify(self, data: bytes) -> tuple[Category, ...]:
        crop = prepare(data, self.transform, DecodeSettings(), None).crop
        return choose_categories(self.predictor.scores(crop[None])[0], self.spec.top_k, self.spec)


@pytest.fixture(scope="module", params=WEIGHTS)
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def core(model: str, export: Export) -> Core:
    return Core(export(model))


def test_the_exported_weights_are_those_that_answered(core: Core, model: str) -> None:
    weights = (core.directory / "inference.pdiparams").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == WEIGHTS[model]


@pytest.mark.parametrize("name", [n for n, a in recorded("StarNet-S1").items() if "error" not in a])
def test_answers_equal_the_references(core: Core, model: str, name: str) -> None:
    (expected,) = recorded(model)[name]
    answer = core.classify(data_of(name))
    assert [category.id for category in answer] == expected["class_ids"]
    assert [category.name for category in answer] == expected["label_names"]
    scores = [category.score for category in answer]
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=TOLERANCE)


def test_what_the_reference_cannot_read_is_known() -> None:
    failing = {name for name, answer in recorded("StarNet-S1").items() if "error" in answer}
    assert failing == REFUSED_BY_BOTH | LIKE.keys() | {"animated.gif"}


@pytest.mark.parametrize("name", sorted(REFUSED_BY_BOTH))
def test_what_is_no_image_is_refused_as_there(core: Core, name: str) -> None:
    with pytest.raises(JobError):
        core.classify(data_of(name))


@pytest.mark.parametrize(("name", "like"), LIKE.items())
def test_what_it_refuses_by_name_is_answered_by_content(core: Core, name: str, like: str) -> None:
    answer, other = core.classify(data_of(name)), core.classify(data_of(like))
    assert [category.id for category in answer] == [category.id for category in other]
    scores, others = ([category.score for category in each] for each in (answer, other))
    np.testing.assert_allclose(scores, others, rtol=0, atol=TOLERANCE)


def test_of_an_animation_the_first_frame_counts(core: Core) -> None:
    frame = saved(photograph("animated.gif"), "PNG")
    assert core.classify(data_of("animated.gif")) == core.classify(frame)
