"""Backends are measured on all cores, in one process and in as many as a worker would have."""

from __future__ import annotations

import pytest

from worker.bench.bare import Bare, Layout, best, layouts
from worker.errors import ModelError


def test_two_cores_have_two_layouts_and_one_has_one() -> None:
    assert layouts(2) == [Layout(1, 2), Layout(2, 1)]
    assert layouts(1) == [Layout(1, 1)]


def test_many_cores_are_shared_out_as_a_worker_does() -> None:
    assert layouts(32) == [Layout(1, 32), Layout(8, 4)]


def test_the_best_is_the_fastest() -> None:
    slow = Bare("paddle", Layout(1, 2), 8, 100.0, 8.0)
    fast = Bare("openvino", Layout(2, 1), 1, 101.0, 9.0)
    assert best([slow, fast]) == fast


def test_a_backend_beside_which_others_computed_is_judged_by_what_was_left_to_it() -> None:
    quiet = Bare("paddle", Layout(2, 1), 8, 200.0, 8.0)
    crowded = Bare("onnxruntime", Layout(2, 1), 8, 80.0, 4.0, taken=0.75)
    assert crowded.on_free_cores == 320.0
    assert best([quiet, crowded]) == crowded
    assert Bare("paddle", Layout(2, 1), 8, 1.0, 8.0, taken=1.0).on_free_cores == pytest.approx(10.0)


def test_without_any_there_is_no_best() -> None:
    with pytest.raises(ModelError, match="cannot load it"):
        best([Bare("paddle", Layout(1, 2), 0, 0.0, 0.0, "Paddle cannot load it")])
