"""What `PreProcess` of an `inference.yml` means: operators of PaddleClas and PaddleX, in one order.

Each operator and key is done or refused; none is ignored. The meanings are PaddleX's
(`deploy/python/preprocess.py` and `ppcls/data/preprocess/ops/operators.py` of PaddleClas,
`inference/models/image_classification` of PaddleX).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from worker.model.fields import Field, nearest, shown
from worker.model.normalization import normalization
from worker.model.transforms import (
    CenterCrop,
    Channels,
    Interpolation,
    Normalize,
    Resize,
    ResizeBackend,
)
from worker.model.yaml_tree import ConfigError

__all__ = ["PreProcessing", "pre_processing"]

C = TypeVar("C", bound=str)

MAX_SIDE = 8192
"""Longest side of a network's input, in pixels: more is a typing error."""

_OPERATORS: Mapping[str, Sequence[str]] = {
    "DecodeImage": ("to_rgb", "img_mode", "to_np", "channel_first", "backend"),
    "ResizeImage": ("resize_short", "size", "interpolation", "backend", "return_numpy"),
    "CropImage": ("size",),
    "NormalizeImage": ("scale", "mean", "std", "order", "channel_num", "output_fp16"),
    "ToCHWImage": (),
    "KeepKeys": ("keep_keys",),
}
"""The operators and their keys. `KeepKeys` chooses among a sample's parts; here there is one."""

_ORDER: Mapping[str, int] = {
    "DecodeImage": 0,
    "ResizeImage": 1,
    "CropImage": 2,
    "NormalizeImage": 3,
    "ToCHWImage": 3,
    "KeepKeys": 4,
}

_CV2: Mapping[object, Interpolation] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "linear": "bilinear",
    "bicubic": "bicubic",
    "cubic": "bicubic",
    "area": "area",
    "lanczos": "lanczos",
    "lanczos4": "lanczos",
    # OpenCV's constants.
    0: "nearest",
    1: "bilinear",
    2: "bicubic",
    3: "area",
    4: "lanczos",
}
_PIL: Mapping[object, Interpolation] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "linear": "bilinear",
    "bicubic": "bicubic",
    "cubic": "bicubic",
    "area": "box",
    "box": "box",
    "hamming": "hamming",
    "lanczos": "lanczos",
    "lanczos4": "lanczos",
    # Pillow's constants, which are not OpenCV's.
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}
_FILTERS: Mapping[ResizeBackend, Mapping[object, Interpolation]] = {"cv2": _CV2, "pil": _PIL}

_NO_CHANGE = Normalize(scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True)
class PreProcessing:
    """How images become tensors `[N, 3, H, W] float32`."""

    channels: Channels
    resize: Resize | None
    crop: CenterCrop | None
    normalize: Normalize


def pre_processing(section: Field) -> PreProcessing:
    """Read the operators of `PreProcess`.

    Returns:
        What they ask for.

    Raises:
        ConfigError: an operator or a key is unknown, missing, given twice or out of order, or a
            value cannot be.
    """
    listed = section.table(["transform_ops"]).get("transform_ops")
    steps = {} if listed is None else _steps(listed)
    options = {name: step.table(_OPERATORS[name]) for name, step in steps.items()}
    if "ToCHWImage" not in steps:
        raise (listed or section).refusal(
            "has no ToCHWImage: the network would get height x width x channels, which is not "
            "supported here"
        )
    normalize = _NO_CHANGE
    if "NormalizeImage" in steps:
        names = list(steps)
        last = names.index("NormalizeImage") > names.index("ToCHWImage")
        normalize = normalization(steps["NormalizeImage"], options["NormalizeImage"], chw=last)
    resize = steps.get("ResizeImage")
    crop = steps.get("CropImage")
    return PreProcessing(
        channels=_channels(options.get("DecodeImage", {})),
        resize=None if resize is None else _resize(resize, options["ResizeImage"]),
        crop=None if crop is None else CenterCrop(*_pair(crop, options["CropImage"].get("size"))),
        normalize=normalize,
    )


def _steps(listed: Field) -> dict[str, Field]:
    """The operators by their names, in order, each once."""
    steps: dict[str, Field] = {}
    entries = [] if listed.is_null else listed.items("a list", "an entry of transform_ops")
    for entry in entries:
        operators = entry.entries()
        if len(operators) != 1:
            raise entry.refusal("must be a mapping with one operator")
        ((name, operator),) = operators.items()
        line = entry.node.line
        if name not in _OPERATORS:
            raise ConfigError(
                f"transform {shown(name)} is not supported here; the nearest known one is "
                f"{nearest(name, _OPERATORS)}",
                line,
            )
        if name in steps:
            raise ConfigError(f"{name} is given twice; keep one", line)
        before = next((other for other in steps if _ORDER[other] > _ORDER[name]), None)
        if before is not None:
            raise ConfigError(f"{name} after {before} is not supported: put it before", line)
        steps[name] = operator
    return steps


def _channels(options: Mapping[str, Field]) -> Channels:
    """The order of channels that `DecodeImage` leaves; RGB without it."""
    backend = _choice(options.get("backend"), ("cv2", "pil"), "cv2")
    if "channel_first" in options and options["channel_first"].flag():
        raise options["channel_first"].refusal("must be false: ToCHWImage comes last")
    mode = options.get("img_mode")
    to_rgb = options["to_rgb"].flag() if "to_rgb" in options else None
    to_numpy = options["to_np"].flag() if "to_np" in options else True
    if mode is not None:
        wanted: Channels = _choice(mode, ("RGB", "BGR"), "RGB")
        if to_rgb is not None and to_rgb != (wanted == "RGB"):
            raise mode.refusal(f"is {wanted}, and to_rgb is {str(to_rgb).lower()}: keep one")
        return wanted
    if backend == "pil" and not to_numpy:
        # An image of Pillow's is RGB, and PaddleX applies to_rgb to arrays alone.
        return "RGB"
    return "BGR" if to_rgb is False else "RGB"


def _resize(step: Field, options: Mapping[str, Field]) -> Resize:
    if "return_numpy" in options:
        options["return_numpy"].flag()  # either way the pixels are the same
    backend: ResizeBackend = _choice(options.get("backend"), ("cv2", "pil"), "cv2")
    interpolation = _interpolation(options.get("interpolation"), backend)
    short, size = (
        None if field is None or field.is_null else field
        for field in (options.get("resize_short"), options.get("size"))
    )
    if short is not None and size is not None:
        raise size.refusal("and resize_short are both given: keep the one that is meant")
    if short is not None:
        return Resize(_side(short, short), None, interpolation, backend)
    if size is not None:
        return Resize(None, _pair(step, size), interpolation, backend)
    raise step.refusal("needs resize_short or size")


def _interpolation(field: Field | None, backend: ResizeBackend) -> Interpolation:
    if field is None or field.is_null:
        return "bilinear"
    value = field.value()
    key = value.lower() if isinstance(value, str) else value
    known = _FILTERS[backend]
    found = None if isinstance(key, bool | float) else known.get(key)
    if found is None:
        names = ", ".join(name for name in known if isinstance(name, str))
        raise field.refusal(f"{value!r} is unknown: with backend {backend} use one of {names}")
    return found


def _pair(step: Field, field: Field | None) -> tuple[int, int]:
    """`(width, height)` from one number or two."""
    if field is None:
        raise step.refusal("needs size")
    if field.is_list:
        sides = field.items("a list", field.name)
        if len(sides) == 2:
            return _side(sides[0], field), _side(sides[1], field)
    side = _side(field, field)
    return side, side


def _side(field: Field, named: Field) -> int:
    side = Field(named.name, field.node).count()
    if side > MAX_SIDE:
        raise named.refusal(f"must be at most {MAX_SIDE} pixels, not {side}")
    return side


def _choice(field: Field | None, known: tuple[C, ...], default: C) -> C:
    """One of `known`, in any case of letters; `default` if nothing is given."""
    if field is None or field.is_null:
        return default
    value = field.text()
    for each in known:
        if value.lower() == each.lower():
            return each
    raise field.refusal(f"{shown(value)!r} is unknown: use {' or '.join(known)}")
