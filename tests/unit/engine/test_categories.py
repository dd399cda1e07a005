"""Which categories answer, by PaddleX's three rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from worker.contract.jobs import Category, Success
from worker.engine.categories import choose_categories
from worker.model import EVERY, AllAbove, BestAbove, ModelSpec, Normalize

SPEC = ModelSpec(
    name="",
    directory=Path(),
    program=Path(),
    params=Path(),
    resize=None,
    crop=None,
    normalize=Normalize(),
    labels=(),
    top_k=5,
    digest="",
)


def chosen(
    scores: list[float], rule: Any, labels: tuple[str, ...] = (), count: int = EVERY
) -> list[tuple[int, str, float]]:
    spec = replace(SPEC, rule=rule, labels=labels)
    found = choose_categories(np.array(scores, np.float32), count, spec)
    return [(each.id, each.name, each.score) for each in found]


def test_every_label_that_reaches_its_threshold_best_first() -> None:
    scores = [0.145, 0.98, 0.676, 0.98]
    labels = ("sky", "sea", "sand", "sun")
    assert chosen(scores, AllAbove(0.5), labels) == [
        (1, "sea", 0.98),
        (3, "sun", 0.98),
        (2, "sand", 0.676),
    ]
    assert chosen(scores, AllAbove(0.99)) == []
    assert chosen(scores, AllAbove(0.99, {0: 0.1, 2: 0.7})) == [(0, "0", 0.145)]
    # A score that is the threshold reaches it, as in PaddleClas, in float32 too.
    assert chosen([0.3, 0.29999], AllAbove(0.3)) == [(0, "0", 0.3)]


def test_a_job_may_ask_for_fewer_labels() -> None:
    assert chosen([0.9, 0.8, 0.7], AllAbove(0.5), count=2) == [(0, "0", 0.9), (1, "1", 0.8)]
    assert chosen([0.9, 0.1], AllAbove(0.5), count=5) == [(0, "0", 0.9)]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.6, 0.4], (0, "nobody", 0.6)),
        ([0.5, 0.5], (1, "someone", 0.5)),
        ([0.1, 0.9], (1, "someone", 0.9)),
        # What the second class lacks to 1, also where scores do not add up to it.
        ([0.2, 0.25], (0, "nobody", 0.75)),
    ],
)
def test_one_of_two_by_a_threshold(scores: list[float], expected: tuple[int, str, float]) -> None:
    assert chosen(scores, BestAbove(0.5), ("nobody", "someone")) == [expected]
    assert chosen(scores, BestAbove(0.5), ("nobody", "someone"), count=1) == [expected]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.7, 0.2], (1, "1", 0.7)),
        ([0.3, 0.3, 0.4], (2, "2", 0.4)),
        ([0.5, 0.3, 0.2], (2, "2", 0.2)),
        ([0.2, 0.5, 0.3], (2, "2", 0.3)),
    ],
)
def test_one_of_more_or_else_the_one_for_all_others(
    scores: list[float], expected: tuple[int, str, float]
) -> None:
    assert chosen(scores, BestAbove(0.5, otherwise=2)) == [expected]


@given(
    hnp.arrays(np.float32, st.integers(1, 30), elements=st.sampled_from([0.0, 0.1, 0.25, 0.9])),
    st.sampled_from([0.0, 0.1, 0.2, 0.25, 1.0]),
    st.integers(1, 40),
)
def test_labels_above_a_threshold_are_those_of_a_plain_filter(
    scores: npt.NDArray[np.float32], threshold: float, count: int
) -> None:
    spec = replace(SPEC, rule=AllAbove(threshold))
    expected = [index for index in range(len(scores)) if scores[index] >= np.float32(threshold)]
    expected.sort(key=lambda index: (-scores[index], index))
    answer = choose_categories(scores, count, spec)
    assert [category.id for category in answer] == expected[:count]


def test_an_answer_without_a_category_has_no_best_one() -> None:
    best = Category(1, "a", 0.5)
    assert Success((best,)).best is best
    assert Success(()).best is None


@given(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, 0.1, 0.25, 0.9])),
    st.integers(1, 50),
)
def test_the_best_categories_are_those_of_a_plain_sort(
    scores: npt.NDArray[np.float32], count: int
) -> None:
    labelled = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    spec = replace(SPEC, labels=tuple("abcdefghij"))
    answer = choose_categories(scores, count, spec)
    assert [category.id for category in answer] == labelled[:count]
    assert [category.name for category in answer] == [spec.label(n) for n in labelled[:count]]
    assert all(category.score == round(float(scores[category.id]), 5) for category in answer)


@given(hnp.arrays(np.float32, st.integers(11, 40), elements=st.floats(0, 1, width=32)))
def test_many_scores_are_rounded_as_one_is(scores: npt.NDArray[np.float32]) -> None:
    halves = np.arange(1, 64, 2, dtype=np.float32) / 64  # 0.015625, say, is between two of them
    some = np.concatenate([scores, halves, np.nextafter(halves, np.float32(1))])
    found = chosen(some.tolist(), None)
    assert [score for _, _, score in found] == [round(float(some[at]), 5) for at, _, _ in found]
