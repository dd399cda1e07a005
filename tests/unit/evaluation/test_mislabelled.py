"""Labels that are likely wrong, by thresholds that were computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from worker.evaluation.answers import Answers, AnswerTable
from worker.evaluation.classes import match_classes
from worker.evaluation.mislabelled import likely_mislabelled


def answered(rows: Sequence[tuple[str, Sequence[float]]], names: str = "ab") -> Answers:
    labels = [label for label, _ in rows]
    table = AnswerTable(match_classes(list(names), labels), len(rows))
    for item, (label, given) in enumerate(rows):
        scores = np.array(given, np.float32)
        best = int(scores.argmax())
        table.add(item, label, scores, (names[best], float(scores[best])))
    return table.answers()


def test_an_image_that_scores_like_another_classs_own() -> None:
    # Usual for a: (0.9 + 0.8 + 0.1) / 3 = 0.6; for b: 0.8.
    rows = [("a", (0.9, 0.1)), ("a", (0.8, 0.2)), ("a", (0.1, 0.9)), ("b", (0.2, 0.8))]
    (suspect,) = likely_mislabelled(answered(rows))
    assert (suspect.row, suspect.suggested) == (2, 1)
    assert suspect.score == pytest.approx(0.9)
    assert suspect.label_score == pytest.approx(0.1)


def test_an_unsure_mistake_is_the_models() -> None:
    # 0.6 is less than what images of b have for b.
    rows = [("a", (0.9, 0.1)), ("a", (0.4, 0.6)), ("b", (0.1, 0.9)), ("b", (0.2, 0.8))]
    assert likely_mislabelled(answered(rows)) == []


def test_a_class_that_scores_less_than_the_label_is_not_suggested() -> None:
    # Usual for b is 0.3, for a 0.8: the image has 0.65 and 0.35.
    rows = [("a", (0.95, 0.05)), ("a", (0.65, 0.35)), ("b", (0.7, 0.3))]
    assert [each.row for each in likely_mislabelled(answered(rows))] == []


def test_nothing_is_suggested_that_no_image_is_labelled_with_nor_to_an_unknown_class() -> None:
    rows = [("a", (0.1, 0.2, 0.7)), ("b", (0.1, 0.9, 0.0)), ("x", (0.0, 0.95, 0.05))]
    assert likely_mislabelled(answered(rows, "abc")) == []


def test_a_high_score_is_enough_where_the_classs_own_images_have_more() -> None:
    rows = [("a", (0.99, 0.01)), ("a", (0.09, 0.91)), ("a", (0.11, 0.89)), ("b", (0.0, 1.0))]
    assert [each.row for each in likely_mislabelled(answered(rows))] == [1]


def test_the_likeliest_come_first() -> None:
    rows = [("a", (0.8, 0.2)), ("a", (0.1, 0.9)), ("a", (0.05, 0.95)), ("b", (0.2, 0.8))]
    assert [each.row for each in likely_mislabelled(answered(rows))] == [2, 1]


def test_the_last_digits_of_a_score_do_not_decide() -> None:
    # The same image, labelled with a and with b, in two batches.
    rows = [("a", (0.9, 0.1)), ("a", (0.300001, 0.699999)), ("b", (0.3, 0.7))]
    assert [each.row for each in likely_mislabelled(answered(rows))] == [1]
