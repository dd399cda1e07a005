"""What is counted of a model's answers, and that the number of series is bounded."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from worker.metrics import Metrics
from worker.metrics.answers import LONGEST_LABEL, MOST_CLASSES, Answers, entropy
from worker.model import ModelSpec, Normalize
from worker.model.rules import AllAbove

DIGEST = "sha256:0"
SPEC = ModelSpec(
    name="model",
    directory=Path(),
    program=Path(),
    params=Path(),
    resize=None,
    crop=None,
    normalize=cast(Normalize, None),
    labels=("cat", "dog"),
    top_k=5,
    digest=DIGEST,
)
SCORES = np.array([0.75, 0.25], np.float32)


def series(metrics: Metrics) -> dict[str, float]:
    """The number of images by class."""
    return {
        sample.labels["class"]: sample.value
        for family in metrics.collect()
        if family.name == "classify_predictions"
        for sample in family.samples
    }


def test_each_class_of_a_short_list_is_there_from_the_start() -> None:
    metrics = Metrics()
    answers = Answers(metrics, SPEC)
    assert series(metrics) == {"cat": 0, "dog": 0, "other": 0}
    answers.answered(SCORES, "cat").count()
    answers.answered(SCORES, "cat").count()
    assert series(metrics) == {"cat": 2, "dog": 0, "other": 0}


def test_of_a_long_list_the_first_that_occur_have_series_of_their_own() -> None:
    metrics = Metrics()
    labels = tuple(f"class {number}" for number in range(1000))
    answers = Answers(metrics, replace(SPEC, labels=labels))
    assert series(metrics) == {"other": 0}
    for number in range(999, -1, -1):
        answers.answered(SCORES, labels[number]).count()
    for number in (999, 0):
        answers.answered(SCORES, labels[number]).count()
    found = series(metrics)
    assert len(found) == MOST_CLASSES + 1
    assert found["class 999"] == 2
    assert found["other"] == 1000 - MOST_CLASSES + 1
    assert sum(found.values()) == 1002


def test_names_of_any_length_are_cut_and_equal_ones_are_one_series() -> None:
    metrics = Metrics()
    long = "x" * 5000
    answers = Answers(metrics, replace(SPEC, labels=("crane", "crane", long)))
    answers.answered(SCORES, "crane").count()
    answers.answered(SCORES, long).count()
    assert series(metrics) == {"crane": 1, "x" * LONGEST_LABEL: 1, "other": 0}


def test_images_without_an_answer_are_counted_where_there_can_be_some() -> None:
    metrics = Metrics()
    answers = Answers(metrics, replace(SPEC, rule=AllAbove(0.9)))
    assert series(metrics)["none"] == 0
    answers.answered(SCORES, None).count()
    assert series(metrics)["none"] == 1


def test_images_without_an_answer_have_a_series_beside_as_many_classes_as_there_may_be() -> None:
    metrics = Metrics()
    labels = tuple(f"class {number}" for number in range(MOST_CLASSES))
    answers = Answers(metrics, replace(SPEC, labels=labels, rule=AllAbove(0.9)))
    answers.answered(SCORES, None).count()
    assert (series(metrics)["none"], series(metrics)["other"]) == (1, 0)


def test_scores_and_entropy_are_measured_by_digest() -> None:
    metrics = Metrics()
    answers = Answers(metrics, SPEC)

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"classify_{name}", {"digest": DIGEST})

    assert value("best_score_ratio_count") == value("score_entropy_ratio_count") == 0
    answers.answered(SCORES, "cat").count()
    assert value("best_score_ratio_sum") == 0.75
    assert value("score_entropy_ratio_sum") == pytest.approx(0.811, abs=0.001)
    answers.answered(np.full(2, np.nan, np.float32), "cat").count()
    assert value("best_score_ratio_count") == 1, "it would make the sum useless forever"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1, 0, 0, 0], 0.0),
        ([0.25, 0.25, 0.25, 0.25], 1.0),
        ([0.5, 0.5, 0, 0], 0.5),
        ([0.9, 0.9, 0.9, 0.9], 1.0),
        ([0, 0, 0.3, 0], 0.0),
        ([0, 0, 0, 0], None),
        ([1], None),
        ([math.nan, 1], None),
        ([math.inf, 1], None),
    ],
)
def test_entropy_is_a_share_of_the_largest(scores: list[float], expected: float | None) -> None:
    found = entropy(np.array(scores, np.float32))
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_entropy_stays_within_its_bounds() -> None:
    rng = np.random.default_rng(0)
    for classes in (2, 3, 1000):
        for spread in (1e-7, 1.0, 30.0):
            logits = rng.normal(size=classes) * spread
            scores = np.exp(logits - logits.max())
            found = entropy((scores / scores.sum()).astype(np.float32))
            assert found is not None
            assert 0 <= found <= 1
