"""Answers are counted for a baseline by class, best score and entropy."""

from __future__ import annotations

import numpy as np
import pytest

from worker.drift.baseline import BINS
from worker.drift.counting import BaselineCounts, bin_of


def test_answers_become_shares() -> None:
    counts = BaselineCounts()
    for _ in range(3):
        counts.count(np.array([0.95, 0.05], np.float32), "cat")
    counts.count(np.array([0.5, 0.5], np.float32), "dog")
    baseline = counts.baseline("model", "sha256:0", "sha256:1")
    assert (baseline.model, baseline.digest, baseline.data) == ("model", "sha256:0", "sha256:1")
    assert baseline.images == 4
    assert dict(baseline.classes) == {"cat": 0.75, "dog": 0.25}
    assert list(baseline.scores) == [0, 0, 0, 0, 0, 0.25, 0, 0, 0, 0.75]
    assert list(baseline.entropies) == [0, 0, 0.75, 0, 0, 0, 0, 0, 0, 0.25]


def test_images_without_an_answer_or_an_entropy_are_counted_by_class_alone() -> None:
    counts = BaselineCounts()
    counts.count(np.array([0.0, 0.0], np.float32), None)
    baseline = counts.baseline("model", "sha256:0", "sha256:1")
    assert dict(baseline.classes) == {"none": 1}
    assert sum(baseline.scores) == sum(baseline.entropies) == 0


def test_a_baseline_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an image"):
        BaselineCounts().baseline("model", "sha256:0", "sha256:1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, 0), (0.05, 0), (0.1, 1), (0.999, 9), (1.0, 9), (1.00001, 9), (-0.1, 0)],
)
def test_a_bin_has_its_lower_edge_and_the_last_one_has_both(value: float, expected: int) -> None:
    assert bin_of(value, BINS) == expected
