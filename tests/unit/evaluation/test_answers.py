"""The rows that are kept of each image."""

from __future__ import annotations

import numpy as np

from worker.evaluation.answers import NO_CLASS, AnswerTable
from worker.evaluation.classes import match_classes


def test_what_is_kept_of_an_image() -> None:
    table = AnswerTable(match_classes(["a", "b", "c"], ["a", "x"]), 3)
    table.add(0, "a", np.array([0.2, 0.5, 0.3], np.float32), ("b", 0.5))
    table.add(2, "x", np.array([0.1, 0.2, 0.3], np.float32), None)
    answers = table.answers()
    assert len(answers) == 2
    assert answers.item.tolist() == [0, 2]
    assert answers.label.tolist() == [0, 3]
    assert answers.answer.tolist() == [1, NO_CLASS]
    assert answers.score.tolist() == [0.5, 0.0]
    np.testing.assert_allclose(answers.label_score, [0.2, 0.0], rtol=1e-6)
    assert answers.best.tolist() == [[1, 2, 0], [2, 1, 0]]
    np.testing.assert_allclose(answers.best_scores[0], [0.5, 0.3, 0.2], rtol=1e-6)
    assert (answers.answer_name(0), answers.answer_name(1)) == ("b", None)
    assert (answers.label_name(0), answers.label_name(1)) == ("a", "x")
    assert answers.right.tolist() == [False, False]


def test_five_of_many_classes_are_kept_and_count() -> None:
    names = [str(number) for number in range(10)]
    table = AnswerTable(match_classes(names, names), 2)
    falling = np.linspace(0.9, 0.0, 10, dtype=np.float32)
    table.add(0, "4", falling, ("0", 0.9))
    table.add(1, "5", falling, ("0", 0.9))
    answers = table.answers()
    assert answers.best[0].tolist() == [0, 1, 2, 3, 4]
    assert answers.right_in_best.tolist() == [True, False]


def test_an_answer_by_a_threshold_counts_though_its_score_is_low() -> None:
    names = [str(number) for number in range(10)]
    table = AnswerTable(match_classes(names, names), 1)
    table.add(0, "9", np.linspace(0.9, 0.0, 10, dtype=np.float32), ("9", 0.0))
    assert table.answers().right_in_best.tolist() == [True]


def test_a_class_with_two_outputs_has_the_better_score() -> None:
    table = AnswerTable(match_classes(["crane", "owl", "crane"], ["crane"]), 1)
    table.add(0, "crane", np.array([0.1, 0.3, 0.6], np.float32), ("crane", 0.6))
    answers = table.answers()
    assert answers.right.tolist() == [True]
    np.testing.assert_allclose(answers.label_score, [0.6], rtol=1e-6)


def test_the_most_confident_mistakes_come_first() -> None:
    table = AnswerTable(match_classes(["a", "b"], ["a", "b"]), 4)
    for item, (label, score) in enumerate([("a", 0.6), ("b", 0.9), ("a", 0.8), ("a", 0.6)]):
        table.add(item, label, np.array([1 - score, score], np.float32), ("b", score))
    assert table.answers().worst().tolist() == [2, 0, 3]
