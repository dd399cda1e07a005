"""Exports a model of the zoo, with random weights, as the published archives hold it.

`python -m tests.support.zoo.export NAME DIRECTORY` makes `inference.json`, `inference.pdiparams`
and `inference.yml` in the directory; with `FLAGS_enable_pir_api=0` in the environment it makes the
older `inference.pdmodel` instead of `inference.json`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import paddle
import yaml

from tests.support.paths import IMAGES
from tests.support.zoo.architectures import TINY, build_network, labels, logits_of
from tests.support.zoo.calibration import Measured, apply, calibrate
from worker.images.decode import decode
from worker.model import CenterCrop, Normalize, Resize
from worker.settings import DecodeSettings
from worker.zoo.catalogue import catalogue

__all__ = ["export"]

FILES = ("chelsea.png", "astronaut.jpg", "palette.png", "china.jpg")
IMAGENET = 1000


class Classifier(paddle.nn.Layer):  # type: ignore[misc]
    """A network of the zoo as it is published: images to probabilities."""

    def __init__(self, network: Any, *, softmax: bool) -> None:
        super().__init__()
        self.network = network
        self.last = paddle.nn.Softmax(axis=-1) if softmax else paddle.nn.Identity()

    def forward(self, images: Any) -> Any:
        return self.last(logits_of(self.network(images)))


def export(
    name: str,
    directory: Path,
    measured: Measured | None = None,
    *,
    classes: int = IMAGENET,
    softmax: bool = True,
) -> Measured:
    """Write the model's three files; one that has other classes than ImageNet's names none.

    Args:
        measured: what `calibrate` gave before; measured again when None.
    """
    resize, crop = _preprocessing(name)
    network = build_network(name, classes)
    if measured is None:
        measured = calibrate(network, classes, _photographs(crop.width))
    else:
        apply(network, classes, measured)
    for layer in network.sublayers():
        # Networks that train with more branches than they answer with.
        if hasattr(layer, "re_parameterize") and not getattr(layer, "is_repped", False):
            layer.re_parameterize()
    classifier = Classifier(network, softmax=softmax)
    classifier.eval()
    images = paddle.static.InputSpec([None, 3, crop.height, crop.width], "float32", name="x")
    static = paddle.jit.to_static(classifier, input_spec=[images], full_graph=True)
    directory.mkdir(parents=True, exist_ok=True)
    paddle.jit.save(static, str(directory / "inference"))
    config = _inference_config(name, resize, crop, labels() if classes == IMAGENET else None)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (directory / "inference.yml").write_text(text, "utf-8")
    return measured


def _preprocessing(name: str) -> tuple[Resize, CenterCrop]:
    if name in TINY:
        side = 384 if name.endswith("384") else 224
        return Resize(side, None, "bicubic", "pil"), CenterCrop(side, side)
    model = catalogue()[name]
    return model.resize, model.crop


def _inference_config(
    name: str, resize: Resize, crop: CenterCrop, label_list: list[str] | None
) -> dict[str, Any]:
    """The model's `inference.yml`, in the publisher's form."""
    scaled: dict[str, Any] = {"resize_short": resize.short}
    if resize.backend == "pil":
        scaled |= {"interpolation": resize.interpolation, "backend": resize.backend}
    normal = Normalize()
    normalize = {
        "channel_num": 3,
        "mean": list(normal.mean),
        "order": "",
        "scale": normal.scale,
        "std": list(normal.std),
    }
    return {
        "Global": {"model_name": name},
        "PreProcess": {
            "transform_ops": [
                {"ResizeImage": scaled},
                {"CropImage": {"size": crop.width}},
                {"NormalizeImage": normalize},
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": {
            "Topk": {"topk": 5} | ({} if label_list is None else {"label_list": label_list})
        },
    }


def _photographs(side: int) -> npt.NDArray[np.float32]:
    """`[N, 3, side, side] float32`, normalised."""
    normal = Normalize()
    mean, std = np.array(normal.mean, np.float32), np.array(normal.std, np.float32)
    decoded = (decode((IMAGES / name).read_bytes(), DecodeSettings()) for name in FILES)
    pixels = [cv2.resize(bgr[:, :, ::-1], (side, side)) for bgr in decoded]
    batch = ((np.stack(pixels) / 255 - mean) / std).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, np.float32)


def main() -> None:
    """Export one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*catalogue(), *TINY], metavar="NAME")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--measured", type=Path, help="apply what was measured before")
    parser.add_argument("--classes", type=int, default=IMAGENET)
    parser.add_argument("--logits", action="store_true", help="without the last softmax")
    given = parser.parse_args()
    measured = None if given.measured is None else dict(np.load(given.measured))
    export(given.name, given.directory, measured, classes=given.classes, softmax=not given.logits)


if __name__ == "__main__":
    main()
