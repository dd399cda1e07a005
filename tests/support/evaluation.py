"""Answers of a model that is played, for what is computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.small_model import SPEC
from worker.contract.jobs import ModelIdentity
from worker.datasets import Dataset, Item
from worker.engine.categories import choose_categories
from worker.engine.pipeline import Classified
from worker.errors import JobError
from worker.evaluation.answers import Answers, AnswerTable
from worker.evaluation.classes import match_classes
from worker.model import ModelSpec, Rule
from worker.model.rules import BEST_ONES
from worker.predict.inputs import Source

__all__ = ["Found", "PlayedClassifier", "Scores", "answers_of", "dataset_of", "scores_of"]

Scores = npt.NDArray[np.float32]

Found = Sequence[Scores | JobError]
"""What a model answers, image by image."""


def scores_of(classes: int, best: int, score: float) -> Scores:
    """One class gets a score, the others what is left of 1."""
    scores: Scores = np.full(classes, (1 - score) / max(classes - 1, 1), np.float32)
    scores[best] = score
    return scores


def answers_of(
    outputs: Sequence[str], rows: Sequence[tuple[str, str, float]], labels: Sequence[str] = ()
) -> Answers:
    """Make answers of rows of a label, the answer and its score.

    Args:
        outputs: the model's classes.
        labels: the data's classes; those of the rows by default.
    """
    table = AnswerTable(
        match_classes(outputs, labels or [label for label, _, _ in rows]), len(rows)
    )
    for item, (label, answer, score) in enumerate(rows):
        scores = scores_of(len(outputs), outputs.index(answer), score)
        table.add(item, label, scores, (answer, score))
    return table.answers()


def dataset_of(labels: Sequence[str], names: Sequence[str] = ()) -> Dataset:
    """A data set with an image of each label, in that order; no file is there."""
    given = names or [f"{number}.jpg" for number in range(len(labels))]
    items = [Item(Path(name), name, label) for name, label in zip(given, labels, strict=True)]
    return Dataset("data", "class folders", tuple(items), tuple(dict.fromkeys(labels)))


@dataclass
class PlayedClassifier:
    """Answers each image with the scores at its place, or with an error.

    Attributes:
        labels: of the model.
        found: what it answers, image by image.
        rule: of the model.
    """

    labels: Sequence[str]
    found: Found
    rule: Rule = BEST_ONES

    @property
    def spec(self) -> ModelSpec:
        return replace(SPEC, labels=tuple(self.labels), rule=self.rule)

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(SPEC.name, SPEC.digest, "played")

    def classify(
        self, sources: Iterable[Source], batch_size: int | None = None
    ) -> Iterator[tuple[Source, Classified | JobError]]:
        picture = np.zeros((20, 400, 3), np.uint8)
        for source, found in zip(sources, self.found, strict=True):
            if isinstance(source.content, JobError):
                yield source, source.content
            elif isinstance(found, JobError):
                yield source, found
            else:
                categories = choose_categories(found, 1, self.spec)
                yield source, Classified(categories, picture, found)
