"""Bundles choose categories as the worker does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.edge import load_template
from tests.support.small_model import SPEC
from worker.edge.description import describe
from worker.engine.categories import choose_categories
from worker.model import EVERY, Activation, AllAbove, BestAbove, BestOnes, Rule
from worker.predictor.activations import ACTIVATIONS

LABELS = ("cat", "dog", "cow", "hen")


@pytest.fixture(scope="module", autouse=True)
def beside() -> Iterator[None]:
    """What lies beside the program in a bundle, but for the library that computes."""
    runtime = ModuleType("runtime")
    runtime.Network = lambda directory: None  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "runtime", runtime)
        patch.setitem(sys.modules, "transform", load_template("transform"))
        yield


scores = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 1.0])


@given(
    st.lists(scores, min_size=2, max_size=4),
    st.sampled_from(
        [
            BestOnes(),
            BestAbove(0.3, 1),
            BestAbove(0.7, 0),
            AllAbove(0.3),
            AllAbove(0.5, {0: 0.1, 1: 1.0}),
        ]
    ),
    st.sampled_from([1, 3, EVERY]),
    st.sampled_from([None, 1, 2]),
)
def test_categories_are_chosen_by_the_models_rule(
    values: list[float], rule: Rule, own: int, wanted: int | None
) -> None:
    count = len(values)
    spec = replace(SPEC, rule=rule, top_k=own, labels=LABELS[:count])
    classifier = load_template("classify").Classifier.__new__(load_template("classify").Classifier)
    classifier.model = describe(spec, count, None)
    row = np.array(values, np.float32)
    expected = choose_categories(row, own if wanted is None else wanted, spec)
    assert classifier.categories(row, wanted) == [
        {"id": one.id, "name": one.name, "score": one.score} for one in expected
    ]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_logits_become_scores_as_in_the_worker(
    activation: Activation | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load_template("classify")
    monkeypatch.setattr(module, "read_image", lambda path: path)
    monkeypatch.setattr(module, "tensor", lambda rgb, model: rgb)
    logits = np.array([[-90.0, 0.5, 3.0, 90.0]], np.float32)
    classifier = module.Classifier.__new__(module.Classifier)
    classifier.model = {"activation": activation}
    classifier._network = ModuleType("network")
    classifier._network.run = lambda tensor: logits[0]
    expected = ACTIVATIONS[activation](logits)[0] if activation else logits[0].clip(0, 1)
    np.testing.assert_allclose(classifier.scores("cat.jpg"), expected, atol=1e-7)
