"""All figures of one model, computed from its answers once for every form of the report."""

from __future__ import annotations

from dataclasses import dataclass

from worker.evaluation.answers import NO_CLASS, Answers
from worker.evaluation.calibration import Bin, calibration_error, reliability
from worker.evaluation.figures import (
    ClassFigures,
    Confusion,
    class_figures,
    confusions,
    macro_f1,
)
from worker.evaluation.mislabelled import Suspect, likely_mislabelled
from worker.evaluation.statistics import wilson

__all__ = ["Share", "Summary", "summarize"]

FEW_CLASSES = 5
"""Of so many classes or fewer, the five best ones are all."""


@dataclass(frozen=True, slots=True)
class Share:
    """Some of all.

    Attributes:
        right: how many.
        images: of how many.
        interval: of 95 %, around `value`.
    """

    right: int
    images: int
    interval: tuple[float, float]

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.right / self.images if self.images else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one model.

    Attributes:
        top1: images whose answer is right.
        top5: images whose label is the answer or among the five best classes; None where the model
            has no more than five.
        figures: of each class that an image is labelled or answered with.
        confusions: mistakes by label and answer, the most frequent first.
        bins: of scores; answers without a category are left out.
        suspects: images that are likely mislabelled, the likeliest first.
    """

    top1: Share
    top5: Share | None
    macro_f1: float
    figures: list[ClassFigures]
    confusions: list[Confusion]
    bins: list[Bin]
    calibration_error: float
    suspects: list[Suspect]


def summarize(answers: Answers) -> Summary:
    """Compute all figures.

    Returns:
        The figures.
    """
    figures = class_figures(answers)
    answered = answers.answer != NO_CLASS
    bins = reliability(answers.score[answered], answers.right[answered])
    in_best = int(answers.right_in_best.sum())
    many = len(answers.classes.of_outputs) > FEW_CLASSES
    return Summary(
        top1=_share(int(answers.right.sum()), len(answers)),
        top5=_share(in_best, len(answers)) if many else None,
        macro_f1=macro_f1(figures),
        figures=figures,
        confusions=confusions(answers),
        bins=bins,
        calibration_error=calibration_error(bins),
        suspects=likely_mislabelled(answers),
    )


def _share(right: int, images: int) -> Share:
    return Share(right, images, wilson(right, images))
