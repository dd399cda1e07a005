"""What `inference.yml` means. Raises KeyError, TypeError, ValueError: the caller names the file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from worker.model.transforms import Crop, Interpolation, Normalize, Resize, ResizeBackend

__all__ = ["model_name", "post_process", "transforms"]

_INTERPOLATIONS: Mapping[object, Interpolation] = {
    None: "bilinear",
    "nearest": "nearest",
    "bilinear": "bilinear",
    "linear": "bilinear",
    "bicubic": "bicubic",
    "cubic": "bicubic",
    "area": "area",
    "lanczos": "lanczos",
    # OpenCV's constants, which older exports write as numbers.
    0: "nearest",
    1: "bilinear",
    2: "bicubic",
    3: "area",
    4: "lanczos",
}

MAX_SIDE = 8192
"""Longest side of a network's input, in pixels: more is a slip of the pen."""

_BACKENDS: Mapping[object, ResizeBackend] = {"cv2": "cv2", "pil": "pil"}


def transforms(document: Mapping[str, Any]) -> tuple[Resize | None, Crop | None, Normalize]:
    """Resize, crop and normalisation, in the one order that all published models use."""
    operations = _operations(_mapping(document.get("PreProcess"), "PreProcess"))
    resize: Resize | None = None
    crop: Crop | None = None
    normalize: Normalize | None = None
    for name, raw in operations:
        options = _mapping(raw, name)
        if normalize is not None and name in ("ResizeImage", "CropImage"):
            raise ValueError(f"{name} after NormalizeImage is not supported: put it before")
        match name:
            case "ResizeImage" if crop is None:
                resize = _resize(options)
            case "CropImage":
                width, height = _pair(options.get("size"), "CropImage.size")
                crop = Crop(width, height)
            case "NormalizeImage":
                normalize = _normalize(options)
            case "ToCHWImage" | "KeepKeys" | "DecodeImage":
                continue
            case _:
                raise ValueError(f"transform {name} is not supported here")
    return (
        resize,
        crop,
        normalize or Normalize(scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    )


def _operations(pre_process: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Names and options, in order."""
    listed = pre_process.get("transform_ops") or []
    if not isinstance(listed, list):
        raise TypeError("PreProcess.transform_ops must be a list")
    return [
        (str(name), options)
        for operation in listed
        for name, options in _mapping(operation, "an entry of transform_ops").items()
    ]


def _resize(options: Mapping[str, Any]) -> Resize:
    interpolation = options.get("interpolation")
    key = interpolation.lower() if isinstance(interpolation, str) else interpolation
    if key not in _INTERPOLATIONS:
        raise ValueError(f"ResizeImage.interpolation {interpolation!r} is unknown")
    backend = _BACKENDS.get(options.get("backend") or "cv2")
    if backend is None:
        raise ValueError(f"ResizeImage.backend {options['backend']!r} is unknown: use cv2 or pil")
    short, size = options.get("resize_short"), options.get("size")
    if short is not None:
        return Resize(_side(short, "ResizeImage.resize_short"), None, _INTERPOLATIONS[key], backend)
    if size is not None:
        return Resize(None, _pair(size, "ResizeImage.size"), _INTERPOLATIONS[key], backend)
    raise ValueError("ResizeImage needs resize_short or size")


def _normalize(options: Mapping[str, Any]) -> Normalize:
    if options.get("channel_num", 3) != 3:
        raise ValueError("NormalizeImage.channel_num must be 3: images are RGB")
    default = Normalize()
    return Normalize(
        _scale(options.get("scale", default.scale)),
        _triple(options.get("mean", default.mean), "mean"),
        _triple(options.get("std", default.std), "std"),
    )


def _scale(value: object) -> float:
    # The reference's configurations write the fraction itself ("1.0/255.0").
    numerator, _, denominator = str(value).partition("/")
    try:
        scale = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        scale = math.nan
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"NormalizeImage.scale must be a number or a fraction, not {value!r}")
    return scale


def model_name(document: Mapping[str, Any]) -> str | None:
    """`Global.model_name`, or None."""
    name = _mapping(document.get("Global"), "Global").get("model_name")
    return None if name is None else str(name)


def post_process(document: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """The labels in class order, and how many categories the model answers with."""
    post = _mapping(document.get("PostProcess"), "PostProcess")
    options = _mapping(post.get("Topk"), "PostProcess.Topk")
    labels = options.get("label_list") or ()
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise TypeError("PostProcess.Topk.label_list must be a list of labels")
    if any(isinstance(label, list | dict | set) for label in labels):
        raise TypeError("PostProcess.Topk.label_list must be a list of labels, each one text")
    texts = tuple(str(label) for label in labels)
    for number, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            # YAML can spell half a surrogate pair, which no result could hold.
            raise ValueError(f"label {number} of label_list is not Unicode text") from error
    return texts, _positive(options.get("topk", 5), "PostProcess.Topk.topk")


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a mapping")
    return value


def _positive(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 up, not {value!r}")
    return value


def _side(value: object, name: str) -> int:
    side = _positive(value, name)
    if side > MAX_SIDE:
        raise ValueError(f"{name} must be at most {MAX_SIDE} pixels, not {side}")
    return side


def _pair(value: object, name: str) -> tuple[int, int]:
    """`(width, height)` from one number or two."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return _side(value[0], name), _side(value[1], name)
    side = _side(value, name)
    return side, side


def _triple(value: object, name: str) -> tuple[float, float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        raise ValueError(f"NormalizeImage.{name} must have three numbers")
    red, green, blue = (float(number) for number in value)
    if not all(math.isfinite(number) for number in (red, green, blue)) or (
        name == "std" and 0.0 in (red, green, blue)
    ):
        raise ValueError(f"NormalizeImage.{name} must be finite and, for std, not zero")
    return red, green, blue
