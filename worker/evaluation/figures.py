"""How good a model is class by class, and which classes it takes for which."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from worker.evaluation.answers import NO_CLASS, Answers

__all__ = ["ClassFigures", "Confusion", "class_figures", "confusions", "macro_f1"]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How good a model is at one class.

    Attributes:
        number: the class's place in `Classes`.
        support: images that are labelled with it.
        answered: images that are answered with it.
        right: images that are both.
    """

    number: int
    name: str
    support: int
    answered: int
    right: int

    @property
    def precision(self) -> float | None:
        """The share of its answers that are right; None if nothing was answered with it."""
        return self.right / self.answered if self.answered else None

    @property
    def recall(self) -> float | None:
        """The share of its images that are answered so; None if it has none."""
        return self.right / self.support if self.support else None

    @property
    def f1(self) -> float:
        """The harmonic mean of both, 0 if nothing is right."""
        return 2 * self.right / (self.support + self.answered)

    @property
    def mistakes(self) -> int:
        """Wrong answers to its images, and with it to others."""
        return self.support + self.answered - 2 * self.right


def class_figures(answers: Answers) -> list[ClassFigures]:
    """Count answers class by class.

    Returns:
        The classes that an image is labelled or answered with, in their order.
    """
    size = len(answers.classes.names)
    answered = np.bincount(answers.answer[answers.answer != NO_CLASS], minlength=size).tolist()
    support = np.bincount(answers.label, minlength=size).tolist()
    right = np.bincount(answers.label[answers.right], minlength=size).tolist()
    return [
        ClassFigures(number, name, support[number], answered[number], right[number])
        for number, name in enumerate(answers.classes.names)
        if support[number] or answered[number]
    ]


def macro_f1(figures: list[ClassFigures]) -> float:
    """Average F1 over the classes that the data have images of, each with the same weight.

    Returns:
        The mean, 0 to 1.
    """
    values = [each.f1 for each in figures if each.support]
    return math.fsum(values) / len(values) if values else 0.0


@dataclass(frozen=True, slots=True)
class Confusion:
    """Images of one class that are answered with another one.

    Attributes:
        label: the class that they are labelled with.
        answer: the class that they are answered with, or NO_CLASS.
        rows: of `Answers`, the most confident first.
    """

    label: int
    answer: int
    rows: tuple[int, ...]


def confusions(answers: Answers) -> list[Confusion]:
    """Group the mistakes by label and answer.

    Returns:
        The groups, the largest first.
    """
    found: dict[tuple[int, int], list[int]] = {}
    for row in answers.worst().tolist():
        key = int(answers.label[row]), int(answers.answer[row])
        found.setdefault(key, []).append(row)
    groups = [Confusion(*key, tuple(rows)) for key, rows in found.items()]
    return sorted(groups, key=lambda group: (-len(group.rows), group.label, group.answer))
