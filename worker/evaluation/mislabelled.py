"""Which labels are likely wrong, and not the model: confident learning (Northcutt et al. 2021).

A model gives the images of each class scores of a certain height for that class. An image that
scores as high for another class as that one's own images do on average (0.9 is always enough), and
higher than for its label, most likely belongs there. It takes a model that was not trained on these
images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worker.evaluation.answers import Answers

__all__ = ["Suspect", "likely_mislabelled"]

TOLERANCE = 1e-4
"""By which scores of one image may differ: other images in its batch change the last digits."""

HIGH = 0.9
"""A score that is high for any class. A model that is sure of itself has 0.999 for most images of a
class, and not less for a wrong label than for the rest of them."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label is likely wrong.

    Attributes:
        row: of `Answers`.
        suggested: the class that it most likely belongs to.
        score: that class's.
        label_score: the label's.
    """

    row: int
    suggested: int
    score: float
    label_score: float


def likely_mislabelled(answers: Answers) -> list[Suspect]:
    """Find images whose labels are likely wrong.

    Images of classes that the model does not know are left out: it cannot tell.

    Returns:
        The images, those with the largest difference between both scores first.
    """
    classes = answers.classes
    images = np.bincount(answers.label, minlength=len(classes.names))
    sums = np.bincount(answers.label, answers.label_score, minlength=len(classes.names))
    usual = sums / np.maximum(images, 1)
    # Of a class without images nothing is known.
    least = np.where(images > 0, np.minimum(usual, HIGH), np.inf)
    fits = answers.best_scores >= least[answers.best] - TOLERANCE
    first = fits.argmax(axis=1)
    rows = np.arange(len(answers))
    suggested, score = answers.best[rows, first], answers.best_scores[rows, first]
    suspect = (
        fits.any(axis=1)
        & (suggested != answers.label)
        & (score > answers.label_score)
        & (answers.label < classes.of_model)
    )
    found = np.flatnonzero(suspect)
    difference = score[found] - answers.label_score[found]
    return [
        Suspect(row, int(suggested[row]), float(score[row]), float(answers.label_score[row]))
        for row in found[np.argsort(-difference, kind="stable")].tolist()
    ]
