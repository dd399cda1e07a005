"""Networks to measure with: real architectures, untrained, in Paddle's inference format."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import yaml

from benchmarks.lcnet import pp_lcnet
from demo.model import prepare_model
from tests.support.zoo.exporting import export_to

__all__ = ["ARCHITECTURES", "MODELS", "prepare_architecture"]

PP_LCNET = "pp_lcnet_x1_0"
EFFICIENTNET = "efficientnet_lite0"
_VISION = ("resnet50", "resnet18", "mobilenet_v2", "mobilenet_v3_small")
"""Names of `paddle.vision.models`."""

_ZOO = {
    "pp_hgnetv2_b4": "PP-HGNetV2-B4",
    "swin_transformer_tiny": "SwinTransformer_tiny_patch4_window7_224",
}
"""Exported as for the tests of the zoo, from the package `paddleclas`."""

ARCHITECTURES = (*_VISION, PP_LCNET, EFFICIENTNET, *_ZOO)
"""What a network costs does not depend on its weights."""

MODELS = (PP_LCNET, "mobilenet_v3_small", "resnet50", *_ZOO, EFFICIENTNET)
"""Those that are measured by `--models all`."""

SIDE = 224


def prepare_architecture(name: str, cache: Path) -> Path:
    """The model directory of an architecture with random weights, exported once.

    Raises:
        ValueError: the name is not one of `ARCHITECTURES`.
    """
    if name not in ARCHITECTURES:
        raise ValueError(
            f"architecture {name!r} is unknown; choose from {', '.join(ARCHITECTURES)}"
        )
    if name == EFFICIENTNET:
        return prepare_model(cache)
    target = cache / "models" / f"bench-{name}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    if name in _ZOO:
        export_to(target, _ZOO[name])
        return target
    staging = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        _export(name, staging)
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging)
        raise
    return target


def _export(name: str, directory: Path) -> None:
    # Heavy, and needed on the first run alone.
    import paddle  # noqa: PLC0415

    paddle.seed(0)
    if name == PP_LCNET:
        network = pp_lcnet()
    else:
        network = getattr(paddle.vision.models, name)(pretrained=False)
    classifier = paddle.nn.Sequential(network, paddle.nn.Softmax(axis=-1))
    classifier.eval()
    images = paddle.static.InputSpec([None, 3, SIDE, SIDE], "float32", name="x")
    paddle.jit.save(classifier, str(directory / "inference"), input_spec=[images])
    normalize = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "scale": 1 / 255}
    config = {
        "Global": {"model_name": name},
        "PreProcess": {
            "transform_ops": [
                {"ResizeImage": {"resize_short": 256}},
                {"CropImage": {"size": SIDE}},
                {"NormalizeImage": normalize},
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": {"Topk": {"topk": 5}},
    }
    (directory / "inference.yml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
