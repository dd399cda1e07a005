"""Two models on the same images."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.evaluation import answers_of, scores_of
from worker.evaluation.answers import AnswerTable
from worker.evaluation.classes import match_classes
from worker.evaluation.comparison import compare


def test_models_with_classes_in_another_order() -> None:
    first = answers_of(
        ["a", "b"], [("a", "a", 0.9), ("a", "b", 0.6), ("b", "b", 0.8), ("b", "a", 0.7)]
    )
    second = answers_of(
        ["c", "b", "a"], [("a", "a", 0.7), ("a", "a", 0.8), ("b", "c", 0.95), ("b", "c", 0.5)]
    )
    found = compare(first, second)
    assert (found.images, found.first_right, found.second_right) == (4, 2, 2)
    assert found.agreeing == 1
    assert found.score_mean == found.score_most == pytest.approx(0.2)
    assert (found.test.first, found.test.second) == (1, 1)
    # Those that one has right first, and of these the most confident one.
    assert found.differing == ((2, 2), (1, 1), (3, 3))


def test_images_that_one_of_them_cannot_use_are_left_out() -> None:
    first = answers_of(["a", "b"], [("a", "a", 0.9), ("b", "b", 0.9), ("b", "a", 0.9)])
    table = AnswerTable(match_classes(["a", "b"], ["a", "b"]), 3)
    table.add(2, "b", scores_of(2, 1, 0.8), ("b", 0.8))
    table.add(0, "a", scores_of(2, 0, 0.4), None)
    found = compare(first, table.answers())
    assert (found.images, found.agreeing) == (2, 0)
    assert (found.first_right, found.second_right) == (1, 1)
    assert sorted(found.differing) == [(0, 1), (2, 0)]
    assert found.score_mean == 0.0


def test_a_model_agrees_with_itself() -> None:
    answers = answers_of(["a", "b"], [("a", "a", 0.9), ("b", "a", 0.9)])
    found = compare(answers, answers)
    assert (found.agreeing, found.images, found.differing) == (2, 2, ())
    assert found.test.p_exact == 1.0
    assert np.isclose(found.score_most, 0)
