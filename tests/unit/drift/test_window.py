"""The last answers are compared with the baseline, and only with what it can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from worker.drift.baseline import BINS, Baseline
from worker.drift.counting import BaselineCounts
from worker.drift.window import MOST_CLASSES, DriftWindow

SURE = np.array([0.95, 0.05], np.float32)
UNSURE = np.array([0.55, 0.45], np.float32)


def counted(**answers: int) -> Baseline:
    """A baseline of so many sure answers by class."""
    counts = BaselineCounts()
    for name, count in answers.items():
        for _ in range(count):
            counts.count(SURE, name)
    return counts.baseline("model", "sha256:0", "sha256:1")


def answer(window: DriftWindow, name: str, count: int = 1, *, sure: bool = True) -> None:
    for _ in range(count):
        window.add(name, *((0.95, 0.29) if sure else (0.55, 0.99)))


def test_there_is_no_index_before_the_window_is_full() -> None:
    window = DriftWindow(counted(cat=50, dog=50), 100)
    answer(window, "cat", 99)
    assert window.images == 99
    assert window.indices() == {}
    answer(window, "cat")
    assert window.images == 100
    assert window.indices().keys() == {"classes", "scores", "entropies"}


def test_the_same_answers_as_before_are_no_drift() -> None:
    window = DriftWindow(counted(cat=50, dog=50), 100)
    answer(window, "cat", 50)
    answer(window, "dog", 50)
    assert window.indices() == pytest.approx({"classes": 0, "scores": 0, "entropies": 0})


def test_another_class_mix_is_drift_of_the_classes_alone() -> None:
    window = DriftWindow(counted(cat=50, dog=50), 100)
    answer(window, "cat", 95)
    answer(window, "dog", 5)
    indices = window.indices()
    assert indices["classes"] > 0.25
    assert indices["scores"] == indices["entropies"] == pytest.approx(0)


def test_less_certain_answers_are_drift_of_scores_and_entropies_alone() -> None:
    window = DriftWindow(counted(cat=50, dog=50), 100)
    for name in ("cat", "dog"):
        answer(window, name, 25)
        answer(window, name, 25, sure=False)
    indices = window.indices()
    assert indices["classes"] == pytest.approx(0)
    assert min(indices["scores"], indices["entropies"]) > 0.25


def test_the_oldest_answer_makes_room_for_the_newest() -> None:
    window = DriftWindow(counted(cat=50, dog=50), 100)
    answer(window, "bird", 100)
    assert window.indices()["classes"] > 1
    for _ in range(50):
        answer(window, "cat")
        answer(window, "dog")
    assert window.images == 100
    assert window.indices() == pytest.approx({"classes": 0, "scores": 0, "entropies": 0})


def test_a_class_that_the_baseline_lacks_is_drift() -> None:
    window = DriftWindow(counted(cat=100), 100)
    answer(window, "bird", 100)
    assert window.indices()["classes"] > 1


def test_of_many_classes_the_frequent_ones_are_compared_and_all_others_as_one() -> None:
    names = {f"class {number}": 10 for number in range(1000)} | {"cat": 200}
    baseline = counted(**names)
    window = DriftWindow(baseline, 100)
    assert window.chances()["classes"] == pytest.approx(MOST_CLASSES * (1 / 10_200 + 1 / 100))
    # Not the same ones, of hundreds that are equally rare.
    for number in range(500, 598):
        answer(window, f"class {number}")
    answer(window, "cat", 2)
    assert window.indices()["classes"] < 0.1


def test_classes_of_which_the_baseline_has_few_images_are_not_compared() -> None:
    window = DriftWindow(counted(cat=4, dog=4), 100)
    answer(window, "cat", 100)
    assert window.indices().keys() == {"scores", "entropies"}


def test_answers_without_a_score_are_compared_by_class_alone() -> None:
    silent = replace(counted(none=100), scores=(0.0,) * 10, entropies=(0.0,) * 10)
    window = DriftWindow(silent, 100)
    for _ in range(100):
        window.add("none", None, None)
    assert window.indices().keys() == {"classes"}
    window.add("none", 0.5, 0.5)
    assert window.indices().keys() == {"classes"}


def test_bins_of_a_file_are_used_as_they_are() -> None:
    coarse = replace(counted(cat=100), score_bins=(0.0, 0.5, 1.0), scores=(0.0, 1.0))
    window = DriftWindow(coarse, 100)
    answer(window, "cat", 100, sure=False)
    assert window.indices()["scores"] == pytest.approx(0)
    assert window.indices()["entropies"] > 1
    assert len(BINS) == 11
