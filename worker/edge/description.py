"""What a bundle says of its model: `model.json`, for programs that know nothing of Paddle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.errors import ExportError
from worker.model import Activation, AllAbove, BestAbove, ModelSpec
from worker.model.transforms import Resize, ResizeBackend

__all__ = ["check_filter", "describe"]

LAYOUT = "NCHW"
"""Of the network's input: images, channels, rows, columns."""

_WRITTEN_OUT: Mapping[ResizeBackend, tuple[str, ...]] = {
    "cv2": ("nearest", "bilinear"),
    "pil": ("nearest", "bilinear", "bicubic", "area", "box", "hamming", "lanczos"),
}
"""The filters that a bundle can compute without OpenCV."""


def check_filter(spec: ModelSpec) -> None:
    """Make sure that a bundle can scale images as the model wants them.

    Raises:
        ExportError: the filter is one that is not written out.
    """
    resize = spec.resize
    if resize is not None and resize.interpolation not in _WRITTEN_OUT[resize.backend]:
        raise ExportError(
            f"{spec.directory / 'inference.yml'}: images are scaled with OpenCV's filter "
            f"{resize.interpolation}, which a bundle has not; it has OpenCV's "
            f"{' and '.join(_WRITTEN_OUT['cv2'])}, and all of Pillow's (backend: pil)"
        )


def describe(spec: ModelSpec, classes: int, activation: Activation | None) -> dict[str, Any]:
    """Describe a model.

    Args:
        classes: how many the network tells apart.
        activation: what makes scores of its answers; None where they are scores.

    Returns:
        What does not depend on the format.
    """
    height, width = spec.input_size
    crop = spec.crop
    return {
        "name": spec.name,
        "digest": spec.digest,
        "classes": classes,
        "input": {"width": width, "height": height, "type": "float32"},
        "layout": LAYOUT,
        "channels": spec.channels,
        "resize": None if spec.resize is None else _resize(spec.resize),
        "crop": None if crop is None else {"width": crop.width, "height": crop.height},
        "scale": spec.normalize.scale,
        "mean": list(spec.normalize.mean),
        "std": list(spec.normalize.std),
        "activation": activation,
        "rule": _rule(spec, classes),
        "top_k": min(spec.top_k, classes),
        "labels": list(spec.labels),
    }


def _resize(resize: Resize) -> dict[str, Any]:
    return {
        "short": resize.short,
        "size": None if resize.size is None else list(resize.size),
        "filter": resize.interpolation,
        "backend": resize.backend,
    }


def _rule(spec: ModelSpec, classes: int) -> dict[str, Any]:
    match spec.rule:
        case AllAbove(threshold, own):
            return {
                "kind": "all_above",
                "thresholds": [own.get(each, threshold) for each in range(classes)],
            }
        case BestAbove(threshold, otherwise):
            return {"kind": "best_above", "threshold": threshold, "otherwise": otherwise}
        case _:
            return {"kind": "best"}
