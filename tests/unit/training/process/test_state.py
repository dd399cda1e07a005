"""How far a training is, and which weights are the best."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worker.training.process.state import Best, State


def test_more_right_answers_are_better_then_a_smaller_loss() -> None:
    head = Best("head", 3, loss=0.5, top1=0.9)
    assert head.is_better_than(None)
    assert Best("network", 1, loss=0.9, top1=0.91).is_better_than(head)
    assert Best("network", 1, loss=0.4, top1=0.9).is_better_than(head)
    # What is no better than the head alone never takes its place.
    assert not Best("network", 1, loss=0.5, top1=0.9).is_better_than(head)
    assert not Best("network", 1, loss=0.1, top1=0.89).is_better_than(head)


def test_a_state_is_read_as_it_was_saved(tmp_path: Path) -> None:
    state = State(
        phase=1,
        epoch=2,
        step=3,
        loss=4.5,
        right=6,
        seen=7,
        history=[{"phase": "head", "epoch": 1}],
        results={"before": {"test_top1": 0.25}},
        best=Best("head", 3, loss=0.5, top1=0.9),
        now={"0": np.ones(2, np.float32), "0.moment1_0": np.zeros(2, np.float32)},
        best_weights={"head.weight": np.ones((2, 2)), "scores": np.ones((1, 2))},
    )
    state.save(tmp_path)
    read = State.load(tmp_path)
    for name in ("phase", "epoch", "step", "loss", "right", "seen", "history", "results"):
        assert getattr(read, name) == getattr(state, name)
    assert (read.best, read.best_of_phase) == (state.best, None)
    for kept, again in ((state.now, read.now), (state.best_weights, read.best_weights)):
        assert kept.keys() == again.keys()
        assert all(np.array_equal(array, again[name]) for name, array in kept.items())


def test_without_a_file_it_begins(tmp_path: Path) -> None:
    assert State.load(tmp_path) == State()
