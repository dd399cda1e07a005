"""Figures of each class, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.evaluation import answers_of
from worker.evaluation.answers import NO_CLASS, AnswerTable
from worker.evaluation.classes import match_classes
from worker.evaluation.figures import class_figures, confusions, macro_f1

ROWS = [
    ("a", "a", 0.9),
    ("a", "a", 0.8),
    ("a", "b", 0.7),
    ("b", "b", 0.9),
    ("b", "c", 0.6),
    ("c", "c", 0.5),
]


def test_precision_recall_and_f1() -> None:
    a, b, c = class_figures(answers_of(["a", "b", "c", "d"], ROWS))
    assert (a.support, a.answered, a.right) == (3, 2, 2)
    assert (a.precision, a.recall, a.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (b.precision, b.recall, b.f1) == (0.5, 0.5, 0.5)
    assert (c.precision, c.recall, c.f1) == pytest.approx((0.5, 1, 2 / 3))
    assert [each.mistakes for each in (a, b, c)] == [1, 2, 1]
    assert macro_f1([a, b, c]) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)


def test_a_class_that_only_one_side_has() -> None:
    answers = answers_of(["a", "b"], [("a", "b", 0.9), ("x", "a", 0.9)])
    a, b, x = class_figures(answers)
    assert (b.support, b.precision, b.recall, b.f1) == (0, 0.0, None, 0.0)
    assert (x.support, x.precision, x.recall, x.f1) == (1, None, 0.0, 0.0)
    assert a.f1 == 0.0
    # The class without images has no weight.
    assert macro_f1([a, b, x]) == 0.0
    assert macro_f1(class_figures(answers_of(["a", "b"], [("a", "a", 1.0)]))) == 1.0


def test_which_classes_are_confused() -> None:
    found = confusions(answers_of(["a", "b", "c"], [*ROWS, ("a", "b", 0.95)]))
    assert [(each.label, each.answer, each.rows) for each in found] == [
        (0, 1, (6, 2)),
        (1, 2, (4,)),
    ]


def test_an_image_without_a_category_is_wrong_and_no_classes_answer() -> None:
    table = AnswerTable(match_classes(["a", "b"], ["a"]), 1)
    table.add(0, "a", np.array([0.2, 0.1], np.float32), None)
    (a,) = class_figures(table.answers())
    assert (a.support, a.answered, a.right) == (1, 0, 0)
    (group,) = confusions(table.answers())
    assert group.answer == NO_CLASS
