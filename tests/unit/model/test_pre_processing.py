"""Each operator and key of PaddleX's preprocessing: done, or refused by name and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, load, refused
from worker.model import Normalize, Resize
from worker.zoo.catalogue import catalogue

CHW: dict[str, Any] = {"ToCHWImage": None}


def only(*operations: dict[str, Any]) -> dict[str, Any]:
    """A configuration of exactly these operators."""
    return {"PreProcess": {"transform_ops": list(operations)}}


def decoded(**options: Any) -> dict[str, Any]:
    return document({"DecodeImage": options}, CROP)


def normalized(**options: Any) -> dict[str, Any]:
    return document(CROP, {"NormalizeImage": options})


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({}, "RGB"),
        ({"to_rgb": True, "to_np": False, "channel_first": False}, "RGB"),
        ({"to_rgb": True, "channel_first": False, "backend": "pil"}, "RGB"),
        ({"to_rgb": False}, "BGR"),
        ({"to_rgb": False, "backend": "cv2"}, "BGR"),
        ({"to_rgb": False, "backend": "pil"}, "BGR"),
        # An image of Pillow's, of which PaddleX makes no array, stays RGB.
        ({"to_rgb": False, "to_np": False, "backend": "pil"}, "RGB"),
        ({"img_mode": "RGB"}, "RGB"),
        ({"img_mode": "BGR"}, "BGR"),
        ({"img_mode": "BGR", "to_rgb": False}, "BGR"),
    ],
)
def test_the_order_of_channels(tmp_path: Path, options: dict[str, Any], channels: str) -> None:
    assert load(tmp_path, decoded(**options)).channels == channels


@pytest.mark.parametrize(
    ("options", "filter_name"),
    [
        ({"interpolation": name}, expected)
        for name, expected in {
            "nearest": "nearest",
            "bilinear": "bilinear",
            "LINEAR": "bilinear",
            "area": "area",
            "bicubic": "bicubic",
            "lanczos": "lanczos",
            "LANCZOS4": "lanczos",
        }.items()
    ]
    + [
        ({"interpolation": name, "backend": "pil"}, expected)
        for name, expected in {
            "nearest": "nearest",
            "bilinear": "bilinear",
            "BICUBIC": "bicubic",
            "box": "box",
            "hamming": "hamming",
            "lanczos": "lanczos",
            "lanczos4": "lanczos",
        }.items()
    ]
    # Numbers are the library's own constants: 2 is OpenCV's bicubic and Pillow's bilinear filter.
    + [({"interpolation": 2}, "bicubic"), ({"interpolation": 2, "backend": "PIL"}, "bilinear")]
    + [({"interpolation": 3}, "area"), ({"interpolation": 3, "backend": "pil"}, "bicubic")]
    + [({"interpolation": 1, "backend": "pil"}, "lanczos"), ({"return_numpy": False}, "bilinear")],
)
def test_filters(tmp_path: Path, options: dict[str, Any], filter_name: str) -> None:
    resize = load(tmp_path, document({"ResizeImage": {"resize_short": 256} | options})).resize
    assert isinstance(resize, Resize)
    assert resize.interpolation == filter_name


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"order": ""}, Normalize()),
        ({"order": "hwc", "channel_num": 3, "output_fp16": False}, Normalize()),
        ({"mean": None, "std": None}, Normalize()),
        ({"mean": 0.5, "std": 0.25}, Normalize(1 / 255, (0.5,) * 3, (0.25,) * 3)),
        ({"scale": "1e-3", "mean": ["1e-1", 0, 1]}, Normalize(1e-3, (0.1, 0.0, 1.0))),
    ],
)
def test_normalisations(tmp_path: Path, options: dict[str, Any], expected: Normalize) -> None:
    assert load(tmp_path, normalized(**options)).normalize == expected


def test_channels_may_come_first_before_the_normalisation(tmp_path: Path) -> None:
    options = {"order": "chw", "std": 0.5}
    spec = load(tmp_path, only(CROP, CHW, {"NormalizeImage": options}))
    assert spec.normalize.std == (0.5,) * 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (decoded(to_rbg=True), "unknown key 'DecodeImage.to_rbg'; the nearest known key is"),
        (decoded(to_rgb="no"), "DecodeImage.to_rgb must be true or false, not 'no'"),
        (decoded(img_mode="GRAY"), "DecodeImage.img_mode 'GRAY' is unknown: use RGB or BGR"),
        (decoded(img_mode="BGR", to_rgb=True), "img_mode is BGR, and to_rgb is true: keep one"),
        (decoded(channel_first=True), "DecodeImage.channel_first must be false"),
        (decoded(backend="gd"), "DecodeImage.backend 'gd' is unknown: use cv2 or pil"),
        (document(CROP, {"DecodeImage": None}), "DecodeImage after CropImage is not supported"),
        (
            document({"ResizeImage": {"size": 224, "keep_ratio": True}}),
            "unknown key 'ResizeImage.keep_ratio'; the nearest known key is ResizeImage.interpol",
        ),
        (document({"ResizeImage": {"resize_shrot": 9}}), "key is ResizeImage.resize_short"),
        (document({"ResizeImage": {"resize_short": 9, "size": 8}}), "are both given: keep the one"),
        (
            document({"ResizeImage": {"size": 9, "interpolation": "box"}}),
            "'box' is unknown: with backend cv2 use one of nearest, bilinear,",
        ),
        (document({"ResizeImage": {"size": 9, "interpolation": "random"}}), "'random' is unknown"),
        (document({"ResizeImage": {"size": 9, "interpolation": 7}}), "7 is unknown"),
        (document({"ResizeImage": {"size": 9, "interpolation": True}}), "True is unknown"),
        (document({"CropImage": {"size": 8, "mode": "TL"}}), "unknown key 'CropImage.mode'"),
        (normalized(is_scale=False), "'NormalizeImage.is_scale'; the nearest known key is Normali"),
        (normalized(norm_type="mean_std"), "unknown key 'NormalizeImage.norm_type'; the nearest"),
        (normalized(channel_num=4), "NormalizeImage.channel_num must be 3"),
        (normalized(output_fp16=True), "output_fp16 must be false: the network gets float32"),
        (normalized(order="chw"), "order cannot be 'chw' before ToCHWImage"),
        (normalized(mean=True), "must be a finite number, not 'true'"),
        (
            only(CROP, CHW, {"NormalizeImage": {"order": "hwc"}}),
            "order cannot be 'hwc' after ToCHWImage",
        ),
        (document(CROP, NORMALIZE, NORMALIZE), "NormalizeImage is given twice; keep one"),
        (document(RESIZE, RESIZE, CROP), "ResizeImage is given twice; keep one"),
        (document(CROP, CROP), "CropImage is given twice; keep one"),
        (document(CROP, CHW), "ToCHWImage is given twice; keep one"),
        (only(CROP, CHW, RESIZE), "ResizeImage after CropImage is not supported"),
        (only(CHW, CROP), "CropImage after ToCHWImage is not supported: put it before"),
        (only(CROP, NORMALIZE), "has no ToCHWImage: the network would get height x width x"),
        (only({"ToCHWImage": {"a": 1}}), "unknown key 'ToCHWImage.a'; ToCHWImage takes none"),
        (only(CROP | CHW), "an entry of transform_ops must be a mapping with one operator"),
        (only({"Normalise": None}, CHW), "Normalise is not supported here; the nearest known one"),
        ({"PreProcess": {"transforms": []}}, "nearest known key is PreProcess.transform_ops"),
        ({"PreProces": {}}, "unknown key 'PreProces'; the nearest known key is PreProcess"),
        ({"Global": {"modelname": "a"}}, "the nearest known key is Global.model_name"),
    ],
)
def test_what_would_be_passed_over_is_refused(tmp_path: Path, config: Any, message: str) -> None:
    found = refused(tmp_path, config)
    assert message in found
    assert found.startswith(f"{tmp_path}/model/inference.yml:"), "with the line"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "1e308"}, "NormalizeImage.scale must not be 1e+308, which float32 cannot hold"),
        ({"scale": 1e-60}, "NormalizeImage.scale must not be 1e-60, which float32 cannot hold"),
        ({"scale": "1e-46/1"}, "NormalizeImage.scale must not be 1e-46"),
        ({"scale": 10**400}, "NormalizeImage.scale must be a number"),
        ({"scale": "-.inf"}, "NormalizeImage.scale must be a number"),
        ({"std": [1e-46, 1, 1]}, "NormalizeImage.std must not be 1e-46"),
        ({"std": 1e45}, "NormalizeImage.std must not be 1e+45"),
        ({"std": 0}, "NormalizeImage.std must not be zero"),
        ({"mean": [1e39, 0, 0]}, "NormalizeImage.mean must not be 1e+39"),
        ({"scale": 1e38}, "NormalizeImage leaves no 256 different finite numbers"),
        ({"std": [1, 1, 1e-39], "scale": 1}, "NormalizeImage leaves no 256 different finite"),
        ({"mean": 3e38, "std": 0.1}, "NormalizeImage leaves no 256 different finite numbers"),
        ({"mean": 1e8}, "NormalizeImage leaves no 256 different finite numbers"),
    ],
    ids=str,
)
def test_numbers_that_float32_cannot_hold_or_tell_apart_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    assert message in refused(tmp_path, normalized(**options))


def test_the_line_is_that_of_what_is_wrong(tmp_path: Path) -> None:
    text = """\
Global:
  model_name: a
PreProcess:
  transform_ops:
  - CropImage:
      size: 224
  - NormalizeImage:
      scale: 0.1
      std: [1, 0, 1]
  - ToCHWImage:
"""
    assert "inference.yml:9: NormalizeImage.std must not be zero" in refused(tmp_path, text)
    large = text.replace("scale: 0.1", "scale: 1e308")
    assert "inference.yml:8: NormalizeImage.scale must not be 1e+308" in refused(tmp_path, large)
    again = text.replace("0, 1]", "1, 1]\n      scal: 2")
    assert "inference.yml:10: unknown key 'NormalizeImage.scal'" in refused(tmp_path, again)
    twice = text.replace("0, 1]", "1, 1]\n      scale: 2")
    assert "inference.yml:10: scale is given twice, first in line 8" in refused(tmp_path, twice)


def test_the_preprocessing_of_every_published_model_is_understood(tmp_path: Path) -> None:
    for name, model in catalogue().items():
        resize: dict[str, Any] = {"resize_short": model.resize.short}
        if model.resize.backend == "pil":
            resize |= {"interpolation": model.resize.interpolation, "backend": "pil"}
        published = {"channel_num": 3, "order": "", "scale": 0.00392156862745098}
        published |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
        size = {"CropImage": {"size": model.crop.width}}
        config = document({"ResizeImage": resize}, size, {"NormalizeImage": published})
        config["Hpi"] = {"backend_configs": {"tensorrt": {"dynamic_shapes": {"x": [[1, 3, 8, 8]]}}}}
        spec = load(tmp_path, config)
        assert (spec.resize, spec.crop, spec.channels) == (model.resize, model.crop, "RGB"), name
        np.testing.assert_allclose(spec.normalize.scale, 1 / 255)


def test_aliases_as_the_publisher_writes_them_are_no_matter(tmp_path: Path) -> None:
    shape = {"x": [[1, 3, 224, 224]] * 3}
    hpi = {"backend_configs": {"paddle_infer": {"a": shape}, "tensorrt": {"b": shape}}}
    text = yaml.safe_dump({"Hpi": hpi} | document(CROP))
    assert "*id" in text
    assert load(tmp_path, text).input_size == (224, 224)
    assert load(tmp_path, json.dumps(document(CROP))).input_size == (224, 224)
