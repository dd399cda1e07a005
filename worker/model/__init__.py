"""What a model directory says about its model: files, preprocessing, labels. No tensors.

The directory is Paddle's inference format: `inference.json` (or the older `inference.pdmodel`),
`inference.pdiparams`, and `inference.yml`, whose `PreProcess.transform_ops` and `PostProcess`
decide how images become tensors and scores become categories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ModelError
from worker.model.damage import is_cut_off, is_program
from worker.model.inference_config import InferenceConfig, read_config
from worker.model.locate import PROGRAM_FILES, advise, inference_directory
from worker.model.rules import (
    BEST_ONES,
    EVERY,
    Activation,
    AllAbove,
    BestAbove,
    BestOnes,
    Rule,
)
from worker.model.transforms import CenterCrop, Channels, Interpolation, Normalize, Resize
from worker.model.yaml_tree import MAX_BYTES, ConfigError

__all__ = [
    "EVERY",
    "Activation",
    "AllAbove",
    "BestAbove",
    "BestOnes",
    "CenterCrop",
    "Channels",
    "Interpolation",
    "ModelSpec",
    "Normalize",
    "Resize",
    "Rule",
    "find_model",
    "load_model_spec",
]

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
        top_k: most categories of an answer, unless the job asks for another number.
        digest: `sha256:...` over program, weights and configuration: the same files, the same
            answers.
        channels: their order in the network's input.
        rule: which classes are answered.
    """

    name: str
    directory: Path
    program: Path
    params: Path
    resize: Resize | None
    crop: CenterCrop | None
    normalize: Normalize
    labels: tuple[str, ...]
    top_k: int
    digest: str
    channels: Channels = "RGB"
    rule: Rule = BEST_ONES

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
        """Look up the label of a class.

        Returns:
            The label, or the id as text when the model names none.
        """
        return self.labels[class_id] if class_id < len(self.labels) else str(class_id)

    def check_classes(self, count: int) -> None:
        """Check that the description is that of a network which answers with `count` scores.

        Raises:
            ModelError: labels or thresholds are of another number of classes.
        """
        config = self.directory / CONFIG_FILE
        if self.labels and len(self.labels) != count:
            raise ModelError(
                f"{config} names {len(self.labels)} labels, but the network answers with {count} "
                "scores: correct the list of labels, or leave it out"
            )
        match self.rule:
            case BestAbove(otherwise=otherwise):
                if count < 2 or otherwise >= count:
                    raise ModelError(
                        f"{config}: ThreshOutput is for two classes or more, one of them "
                        f"default_label_index ({otherwise}); the network answers with {count} "
                        "scores"
                    )
            case AllAbove(thresholds=own, classes=classes):
                if classes not in (None, count) or max(own, default=0) >= count:
                    raise ModelError(
                        f"{config}: MultiLabelThreshOutput has thresholds of other classes than "
                        f"the {count} that the network answers with"
                    )


def find_model(model: str, cache: Path) -> Path:
    """Find the directory of a model.

    Returns:
        The path itself, or the directory of that name below the cache.

    Raises:
        ModelError: there is neither; the message says where it was looked for.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    # A name is one plain component: nothing that could leave the cache.
    named = cache / model
    if path.name == model and named.is_dir():
        return named
    raise ModelError(
        advise(model)
        or f"there is no directory {model!r}, and no model of that name in the model cache "
        f"({cache})"
    )


def load_model_spec(directory: Path) -> ModelSpec:
    """Read and check a model directory.

    Args:
        directory: has the model's files, or is the output of a training with them in `inference` or
            `best_model/inference`.

    Returns:
        Everything that the model's files say, checked.

    Raises:
        ModelError: a file is missing, unreadable or says something that is not supported; it is
            named.
    """
    try:
        return _load(directory)
    except OSError as error:
        # Not allowed, or gone since it was found: somebody replaces the model just now.
        where = error.filename or directory
        raise ModelError(f"{where} cannot be read: {error.strerror or error}") from error


def _load(directory: Path) -> ModelSpec:
    given, directory = directory, inference_directory(directory)
    if not directory.is_dir():
        raise ModelError(advise(directory) or f"model directory {directory} does not exist")
    program = next(
        (directory / name for name in PROGRAM_FILES if (directory / name).is_file()), None
    )
    if program is None:
        raise ModelError(
            f"{directory} has neither {PROGRAM_FILES[0]} nor {PROGRAM_FILES[1]}: "
            f"{advise(directory) or 'is it an inference model?'}"
        )
    params, config = directory / PARAMS_FILE, directory / CONFIG_FILE
    for path in (params, config):
        if not path.is_file():
            raise ModelError(f"{path} is missing")
        if path.stat().st_size == 0:
            raise ModelError(f"{path} is empty: copy or pull the model again")
    _check_whole(program, params)
    read = _read_config(config)
    return ModelSpec(
        name=read.name or _name_of(given),
        directory=directory,
        program=program,
        params=params,
        resize=read.pre.resize,
        crop=read.pre.crop,
        normalize=read.pre.normalize,
        labels=read.post.labels,
        top_k=read.post.top_k,
        digest=_digest([program, params, config, *read.post.files]),
        channels=read.pre.channels,
        rule=read.post.rule,
    )


def _name_of(directory: Path) -> str:
    """The directory's name as text that a result can hold: it need not be UTF-8."""
    name = directory.resolve().name.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)


def _check_whole(program: Path, params: Path) -> None:
    if program.suffix == ".pdmodel" and not is_program(program):
        raise ModelError(f"{program} is damaged or no network: copy or pull the model again")
    if is_cut_off(params):
        raise ModelError(f"{params} is cut off or damaged: copy or pull the model again")


def _read_config(path: Path) -> InferenceConfig:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        return read_config(data, path.parent)
    except ConfigError as error:
        where = f"{path} " if error.line is None else f"{path}:{error.line}: "
        raise ModelError(f"{where}{error}") from error


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
