"""What a model was trained on, as far as the training that made it says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker.datasets import digest
from worker.errors import ModelError, TrainingError
from worker.model import load_model_spec
from worker.training.outputs import read_result

if TYPE_CHECKING:
    from worker.datasets import Dataset

__all__ = ["Trained", "training_of", "training_on"]


@dataclass(frozen=True, slots=True)
class Trained:
    """A training.

    Attributes:
        data_digest: of all images that it was given, `sha256:...`.
        seed: by which they were split, unless they were split before.
    """

    data_digest: str
    seed: int


def training_of(model: str) -> Trained | None:
    """Find the training that a model came from.

    Args:
        model: a name, or a directory: the training's output, or the model in it.

    Returns:
        What is in `train_result.json`; None where there is none, or it is about another model.
    """
    directory = Path(model).expanduser()
    for output in (directory, *directory.absolute().parents[:2]):
        try:
            result = read_result(output)
            if (
                result is not None
                and result["model"]["digest"] == load_model_spec(directory).digest
            ):
                return Trained(str(result["data"]["digest"]), int(result["data"]["seed"]))
        except (TrainingError, ModelError, LookupError, TypeError, ValueError):
            # PaddleX writes a file of that name too; a damaged model is told of when it is loaded.
            continue
    return None


def training_on(dataset: Dataset, models: Iterable[str]) -> Trained | None:
    """Find out whether one of some models was trained on a data set that is not split.

    Reads all images where a model says what it was trained on.

    Returns:
        The first such training; None if the data are split, or are not those of a training.
    """
    if dataset.is_split:
        return None
    trainings = list(_known(models))
    whole = digest(dataset) if trainings else ""
    return next((each for each in trainings if each.data_digest == whole), None)


def _known(models: Iterable[str]) -> Iterator[Trained]:
    for model in models:
        if (found := training_of(model)) is not None:
            yield found
