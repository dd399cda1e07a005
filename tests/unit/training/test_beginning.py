"""A training goes on with what it began with, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_model import SPEC
from worker.datasets import Item
from worker.errors import TrainingError
from worker.training.beginning import begin
from worker.training.plan import Plan

PLAN = Plan(("a", "b"), (Item(Path("a"), "a", "a", "train"),), "sha256:00")


def test_the_number_of_threads_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.training.beginning.available_cores", lambda: 3)
    assert begin(tmp_path, SPEC, PLAN) == 3
    # Sums of other threads come out otherwise.
    monkeypatch.setattr("worker.training.beginning.available_cores", lambda: 8)
    assert begin(tmp_path, SPEC, PLAN) == 3


def test_other_data_are_not_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path, SPEC, PLAN)
    with pytest.raises(TrainingError, match="the data set has changed"):
        begin(tmp_path, SPEC, replace(PLAN, digest="sha256:11"))


def test_another_model_is_not_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path, SPEC, PLAN)
    with pytest.raises(TrainingError, match="the model has changed"):
        begin(tmp_path, replace(SPEC, digest="sha256:11"), PLAN)
