"""CPU time of a tree of processes between two moments."""

from __future__ import annotations

from worker.bench.process_tree import EVENT_LOOP, Tree, spent


def test_what_was_used_counts_by_kind() -> None:
    before = Tree({(1, EVENT_LOOP): 5.0, (2, "predictors"): 10.0}, 0)
    after = Tree({(1, EVENT_LOOP): 5.5, (2, "predictors"): 12.0, (3, "predictors"): 1.0}, 0)
    assert spent(before, after) == {EVENT_LOOP: 0.5, "predictors": 3.0}


def test_a_process_that_ended_takes_nothing_back() -> None:
    before = Tree({(1, EVENT_LOOP): 5.0, (2, "predictors"): 10.0}, 0)
    assert spent(before, Tree({(1, EVENT_LOOP): 6.0}, 0)) == {EVENT_LOOP: 1.0}
