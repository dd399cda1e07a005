"""What a model directory says about its model: files, preprocessing, labels. No tensors.

The directory is Paddle's inference format: `inference.json` (or the older `inference.pdmodel`),
`inference.pdiparams`, and `inference.yml`, whose `PreProcess.transform_ops` and `PostProcess.Topk`
decide how images become tensors and scores become categories.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from worker.errors import ModelError

__all__ = ["Crop", "ModelSpec", "Normalize", "Resize", "find_model", "load_model_spec"]

PROGRAM_FILES = ("inference.json", "inference.pdmodel")
PARAMS_FILE = "inference.pdiparams"
CONFIG_FILE = "inference.yml"

Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]
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

ResizeBackend = Literal["cv2", "pil"]
_BACKENDS: Mapping[object, ResizeBackend] = {"cv2": "cv2", "pil": "pil"}


@dataclass(frozen=True, slots=True)
class Resize:
    """How to scale an image before the crop.

    Attributes:
        short: length of the shorter side in pixels, keeping the aspect ratio; None when `size` is
            set.
        size: `(width, height)` in pixels, ignoring the aspect ratio; None when `short` is set.
        backend: whose filter to use; Pillow's bicubic and OpenCV's differ.
    """

    short: int | None
    size: tuple[int, int] | None
    interpolation: Interpolation = "bilinear"
    backend: ResizeBackend = "cv2"


@dataclass(frozen=True, slots=True)
class Crop:
    """A centre crop, `width` x `height` pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Normalize:
    """`x * scale`, then minus `mean` and over `std`, per channel in RGB order, in float32."""

    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model on disk.

    Attributes:
        name: `Global.model_name`, or the directory's name.
        directory: where its files are.
        program: the network, `inference.json` or `inference.pdmodel`.
        params: the weights.
        labels: in class order; empty when the model brings none (labels are then the class ids).
        top_k: the model's own default for the number of categories.
        digest: `sha256:...` over program, weights and configuration: the same files, the same
            answers.
    """

    name: str
    directory: Path
    program: Path
    params: Path
    resize: Resize | None
    crop: Crop | None
    normalize: Normalize
    labels: tuple[str, ...]
    top_k: int
    digest: str

    @property
    def input_size(self) -> tuple[int, int]:
        """`(height, width)` in pixels of the tensor that the network takes.

        Raises:
            ModelError: neither a crop nor a resize fixes it.
        """
        if self.crop is not None:
            return self.crop.height, self.crop.width
        if self.resize is not None and self.resize.size is not None:
            width, height = self.resize.size
            return height, width
        raise ModelError(
            f"{self.directory / CONFIG_FILE}: transform_ops fix no input size; "
            "add a CropImage, or a ResizeImage with size"
        )

    def label(self, class_id: int) -> str:
        """The label of a class, or the id as text when the model names none."""
        return self.labels[class_id] if class_id < len(self.labels) else str(class_id)


def find_model(model: str, cache: Path) -> Path:
    """The directory of a model: the path itself, or the name below the cache.

    Raises:
        ModelError: there is neither; the message says where it was looked for.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    named = cache / model
    # A name is one plain component: nothing that could leave the cache.
    if path.name == model and named.is_dir():
        return named
    raise ModelError(f"model {model!r} is neither a directory nor in the model cache ({named})")


def load_model_spec(directory: Path) -> ModelSpec:
    """Read and check a model directory.

    Raises:
        ModelError: a file is missing, unreadable or says something that is not supported; it is
            named.
    """
    if not directory.is_dir():
        raise ModelError(f"model directory {directory} does not exist")
    program = next(
        (directory / name for name in PROGRAM_FILES if (directory / name).is_file()), None
    )
    if program is None:
        raise ModelError(
            f"{directory} has neither {PROGRAM_FILES[0]} nor {PROGRAM_FILES[1]}: "
            "is it an inference model?"
        )
    params, config = directory / PARAMS_FILE, directory / CONFIG_FILE
    for path in (params, config):
        if not path.is_file():
            raise ModelError(f"{path} is missing")
        if path.stat().st_size == 0:
            raise ModelError(f"{path} is empty: copy or pull the model again")
    document = _read_config(config)
    try:
        resize, crop, normalize = _transforms(document)
        labels, top_k = _post_process(document)
        name = _mapping(document.get("Global"), "Global").get("model_name") or directory.name
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{config}: {error}") from error
    return ModelSpec(
        name=str(name),
        directory=directory,
        program=program,
        params=params,
        resize=resize,
        crop=crop,
        normalize=normalize,
        labels=labels,
        top_k=top_k,
        digest=_digest([program, params, config]),
    )


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path} is not a mapping")
    return document


def _transforms(document: Mapping[str, Any]) -> tuple[Resize | None, Crop | None, Normalize]:
    """Resize, crop and normalisation, in the one order that all published models use."""
    operations = _mapping(document.get("PreProcess"), "PreProcess").get("transform_ops") or []
    resize: Resize | None = None
    crop: Crop | None = None
    normalize: Normalize | None = None
    for operation in operations:
        for name, raw in operation.items():
            options = _mapping(raw, name)
            if normalize is not None and name in ("ResizeImage", "CropImage"):
                raise ValueError(f"{name} after NormalizeImage is not supported: put it before")
            match name:
                case "ResizeImage" if crop is None:
                    resize = _resize(options)
                case "CropImage":
                    width, height = _pair(options["size"], "CropImage.size")
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
        return Resize(
            _positive(short, "ResizeImage.resize_short"), None, _INTERPOLATIONS[key], backend
        )
    if size is not None:
        return Resize(None, _pair(size, "ResizeImage.size"), _INTERPOLATIONS[key], backend)
    raise ValueError("ResizeImage needs resize_short or size")


def _normalize(options: Mapping[str, Any]) -> Normalize:
    if options.get("channel_num", 3) != 3:
        raise ValueError("NormalizeImage.channel_num must be 3: images are RGB")
    scale = options.get("scale", 1 / 255)
    if isinstance(scale, str):
        # The reference's configurations write the fraction itself ("1.0/255.0").
        numerator, _, denominator = scale.partition("/")
        scale = float(numerator) / float(denominator or 1)
    default = Normalize()
    return Normalize(
        float(scale),
        _triple(options.get("mean", default.mean), "mean"),
        _triple(options.get("std", default.std), "std"),
    )


def _post_process(document: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    post = _mapping(document.get("PostProcess"), "PostProcess")
    options = _mapping(post.get("Topk"), "PostProcess.Topk")
    labels = options.get("label_list") or ()
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise TypeError("PostProcess.Topk.label_list must be a list of labels")
    return tuple(str(label) for label in labels), _positive(
        options.get("topk", 5), "PostProcess.Topk.topk"
    )


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


def _pair(value: object, name: str) -> tuple[int, int]:
    """`(width, height)` from one number or two."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return _positive(value[0], name), _positive(value[1], name)
    side = _positive(value, name)
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


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
