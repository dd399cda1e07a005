"""What a model directory says about its model: files, preprocessing, labels. No tensors.

The directory is Paddle's inference format: `inference.json` (or the older `inference.pdmodel`),
`inference.pdiparams`, and `inference.yml`, whose `PreProcess.transform_ops` and `PostProcess.Topk`
decide how images become tensors and scores become categories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from worker.errors import ModelError
from worker.model.damage import is_cut_off, is_program
from worker.model.inference_config import model_name, post_process, transforms
from worker.model.transforms import Crop, Interpolation, Normalize, Resize

__all__ = [
    "Crop",
    "Interpolation",
    "ModelSpec",
    "Normalize",
    "Resize",
    "find_model",
    "load_model_spec",
]

PROGRAM_FILES = ("inference.json", "inference.pdmodel")
PARAMS_FILE = "inference.pdiparams"
CONFIG_FILE = "inference.yml"


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
    _check_whole(program, params)
    document = _read_config(config)
    try:
        resize, crop, normalize = transforms(document)
        labels, top_k = post_process(document)
        name = model_name(document) or directory.name
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{config}: {error}") from error
    return ModelSpec(
        name=name,
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


def _check_whole(program: Path, params: Path) -> None:
    try:
        if program.suffix == ".pdmodel" and not is_program(program):
            raise ModelError(f"{program} is damaged or no network: copy or pull the model again")
        if is_cut_off(params):
            raise ModelError(f"{params} is cut off or damaged: copy or pull the model again")
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be read: {error.strerror}") from error


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except RecursionError as error:
        raise ModelError(f"{path} is nested too deeply") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: not UTF-8, or a scalar like 2024-99-99 that looks like a date.
        raise ModelError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path} is not a mapping")
    return document


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
