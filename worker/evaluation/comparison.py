"""Two models on the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.evaluation.answers import NO_CLASS, Answers
from worker.evaluation.statistics import McNemar, mcnemar

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two models differ on the images that both could use.

    Attributes:
        images: how many there are.
        first_right: of these, images that the first model has right.
        second_right: the same of the second one.
        agreeing: images that both answer with the same class.
        score_mean: how far their scores are apart on these, on average; 0 if there are none.
        score_most: how far at most.
        test: whether one is better by more than chance.
        differing: images that they answer differently, as rows of both models' answers; those that
            one of them has right come first, the most confident ones before others.
    """

    images: int
    first_right: int
    second_right: int
    agreeing: int
    score_mean: float
    score_most: float
    test: McNemar
    differing: tuple[tuple[int, int], ...]


def compare(first: Answers, second: Answers) -> Comparison:
    """Compare two models' answers; classes are the same if their names are.

    Returns:
        How they differ.
    """
    _, ours, theirs = np.intersect1d(first.item, second.item, return_indices=True)
    same = _named(first, ours, first, second) == _named(second, theirs, first, second)
    right, other_right = first.right[ours], second.right[theirs]
    apart = np.abs(first.score[ours] - second.score[theirs])[same]
    one_right = right ^ other_right
    surest = np.maximum(first.score[ours], second.score[theirs])
    order = np.lexsort((-surest, ~one_right))
    differing = order[~same[order]]
    return Comparison(
        images=len(ours),
        first_right=int(right.sum()),
        second_right=int(other_right.sum()),
        agreeing=int(same.sum()),
        score_mean=float(apart.mean()) if len(apart) else 0.0,
        score_most=float(apart.max()) if len(apart) else 0.0,
        test=mcnemar(int((right & ~other_right).sum()), int((other_right & ~right).sum())),
        differing=tuple(zip(ours[differing].tolist(), theirs[differing].tolist(), strict=True)),
    )


def _named(
    answers: Answers, rows: npt.NDArray[np.intp], first: Answers, second: Answers
) -> npt.NDArray[np.int64]:
    """Each row's answer, numbered among the names of both models."""
    names = dict.fromkeys((*first.classes.names, *second.classes.names))
    numbers = {name: number for number, name in enumerate(names)}
    # NO_CLASS is -1, the last one.
    own = np.array([*(numbers[name] for name in answers.classes.names), NO_CLASS], np.int64)
    return own[answers.answer[rows]]
