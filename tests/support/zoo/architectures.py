"""The zoo's architectures, from PyPI's `paddleclas` 2.6.0, which holds all 80 of them.

Its own requirements pin releases from years ago and are needed for training alone, so that it is
installed without them (`requirements/zoo.txt`), and its networks are imported around what pulls
those in.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["TINY", "build_network", "labels", "logits_of"]

SEED = 1234

_OPTIONS: dict[str, dict[str, Any]] = {
    # Without a head these two answer with features.
    "CLIP_vit_base_patch16_224": {"return_embed": False},
    "CLIP_vit_large_patch14_224": {"return_embed": False},
}
_UNSCALED = {"MobileNetV1_x1_0": "MobileNetV1", "MobileNetV2_x1_0": "MobileNetV2"}


# Families whose smallest member is large, made small: enough to see that they are computed rightly.
TINY = {
    "ConvNeXt_miniature": (
        "model_zoo.convnext.ConvNeXt",
        {"depths": [1, 1, 1, 1], "dims": [16, 32, 64, 128], "layer_scale_init_value": 1e-2},
    ),
    "SwinTransformer_miniature_384": (
        "legendary_models.swin_transformer.SwinTransformer",
        {
            "img_size": 384,
            "window_size": 12,
            "embed_dim": 12,
            "depths": [2, 2],
            "num_heads": [1, 2],
        },
    ),
}


def build_network(name: str, classes: int) -> Any:
    """The untrained network of a model in the zoo, or of `TINY`; its weights the same each time.

    They come from Paddle's seeded generator, which gives the same numbers on any CPU.
    """
    import paddle  # noqa: PLC0415 - a second, which collecting the tests should not take

    backbones = _backbones()
    # Some layers draw their weights from these instead of from Paddle.
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002
    paddle.seed(SEED)
    if name in TINY:
        path, options = TINY[name]
        module, _, attribute = path.rpartition(".")
        make = getattr(importlib.import_module(f"{backbones.__name__}.{module}"), attribute)
    else:
        make, options = getattr(backbones, _class_name(name)), _OPTIONS.get(name, {})
    return make(class_num=classes, **options)


def logits_of(answer: Any) -> Any:
    """The logits `[N, C]` in a network's answer, which a few wrap."""
    first = answer[0] if isinstance(answer, list | tuple) else answer
    return first["logits"] if isinstance(first, dict) else first


def labels() -> list[str]:
    """The labels of ImageNet-1k, in class order, as the published models have them."""
    text = (_package() / "ppcls/utils/imagenet1k_label_list.txt").read_text("utf-8")
    return [line.split(" ", 1)[1] for line in text.splitlines() if line.strip()]


def _class_name(name: str) -> str:
    """`PP-HGNetV2-B0` is the class `PPHGNetV2_B0`."""
    return _UNSCALED.get(name, name.replace("PP-", "PP").replace("-", "_"))


@functools.cache
def _backbones() -> ModuleType:
    for name in ("ppcls", "ppcls.arch", "ppcls.utils"):
        package = ModuleType(name)
        package.__path__ = [str(_package().joinpath(*name.split(".")))]
        sys.modules[name] = package
    # What downloads trained weights and reads training configurations.
    for name, attributes in {
        "save_load": ("load_dygraph_pretrain", "load_dygraph_pretrain_from_url"),
        "download": ("get_weights_path_from_url",),
        "config": ("AttrDict",),
    }.items():
        module = ModuleType(f"ppcls.utils.{name}")
        for attribute in attributes:
            setattr(module, attribute, None)
        sys.modules[module.__name__] = module
    backbones = importlib.import_module("ppcls.arch.backbone")
    # Some networks log while they are built.
    importlib.import_module("ppcls.utils.logger").init_logger()
    return backbones


def _package() -> Path:
    found = importlib.util.find_spec("paddleclas")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            "paddleclas is missing: pip install --no-deps --require-hashes -r requirements/zoo.txt"
        )
    return Path(found.submodule_search_locations[0])
