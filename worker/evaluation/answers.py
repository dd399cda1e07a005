"""What a model answered to labelled images: some numbers for each, and no pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.evaluation.classes import Classes

__all__ = ["NO_CLASS", "AnswerTable", "Answers"]

NO_CLASS = -1
"""The class of an answer without a category: no score reached the model's threshold."""

BEST = 5
"""Classes whose scores are kept of an image."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A row for each of N images that were answered; classes by their place in `classes`.

    Attributes:
        item: `[N] int64`: the image's place in the data set.
        label: `[N] int64`: the class that it is labelled with.
        answer: `[N] int64`: the class that the model answers with, as `predict` does, or NO_CLASS.
        score: `[N] float64`: the answer's, 0 to 1; 0 without one.
        label_score: `[N] float64`: the label's; 0 if the model does not know it.
        best: `[N, K] int64`: the classes with the highest scores, whatever the model's rule.
        best_scores: `[N, K] float64`: their scores, the highest first.
    """

    classes: Classes
    item: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    label_score: npt.NDArray[np.float64]
    best: npt.NDArray[np.int64]
    best_scores: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.item)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """`[N]`: whether the answer is the label."""
        return np.equal(self.answer, self.label)

    @property
    def right_in_best(self) -> npt.NDArray[np.bool_]:
        """`[N]`: whether the label is the answer, or among the classes with the highest scores."""
        in_best = np.asarray((self.best == self.label[:, None]).any(axis=1), np.bool_)
        return self.right | in_best

    def worst(self) -> npt.NDArray[np.intp]:
        """Find the mistakes.

        Returns:
            Their rows, the most confident first.
        """
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.score[wrong], kind="stable")]

    def answer_name(self, row: int) -> str | None:
        """Name the class that an image was answered with.

        Returns:
            The name; None without one.
        """
        number = int(self.answer[row])
        return None if number == NO_CLASS else self.classes.names[number]

    def label_name(self, row: int) -> str:
        """Name the class that an image is labelled with.

        Returns:
            The name.
        """
        return self.classes.names[int(self.label[row])]


class AnswerTable:
    """Takes answers one by one.

    Args:
        images: most that there will be.
    """

    def __init__(self, classes: Classes, images: int) -> None:
        self._classes = classes
        self._numbers = classes.numbers()
        outputs = len(classes.of_outputs)
        best = min(BEST, outputs)
        self._outputs: dict[int, list[int]] = {}
        for output, number in enumerate(classes.of_outputs.tolist()):
            self._outputs.setdefault(number, []).append(output)
        shapes: dict[str, Any] = {"best": (images, best), "best_scores": (images, best)}
        self._columns: dict[str, npt.NDArray[Any]] = {
            each.name: np.zeros(
                shapes.get(each.name, (images,)), float if "score" in each.name else np.int64
            )
            for each in fields(Answers)
            if each.name != "classes"
        }
        self._count = 0

    def add(
        self,
        item: int,
        label: str,
        scores: npt.NDArray[np.float32],
        answer: tuple[str, float] | None,
    ) -> bool:
        """Add an image.

        Args:
            item: its place in the data set.
            label: one of the data set's.
            scores: `[C] float32`, of all that the network tells apart.
            answer: the best category's name and score; None without one.

        Returns:
            Whether the answer is right.
        """
        columns, row = self._columns, self._count
        number = self._numbers[label]
        outputs = self._outputs.get(number)
        best = np.argsort(-scores, kind="stable")[: columns["best"].shape[1]]
        columns["item"][row] = item
        columns["label"][row] = number
        answered = NO_CLASS if answer is None else self._numbers[answer[0]]
        columns["answer"][row] = answered
        columns["score"][row] = 0.0 if answer is None else answer[1]
        columns["label_score"][row] = 0.0 if outputs is None else scores[outputs].max()
        columns["best"][row] = self._classes.of_outputs[best]
        columns["best_scores"][row] = scores[best]
        self._count += 1
        return answered == number

    def answers(self) -> Answers:
        """Take what was added so far.

        Returns:
            A row for each image.
        """
        return Answers(
            self._classes, **{name: all_[: self._count] for name, all_ in self._columns.items()}
        )
