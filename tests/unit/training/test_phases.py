"""How the learning rate rises and falls."""

from __future__ import annotations

import pytest

from worker.training.phases import HEAD, NETWORK, Phase, learning_rate

PHASE = Phase("head", epochs=1, batch_size=1, learning_rate=0.8, warm_up=0.2, weight_decay=0)


def test_the_rate_rises_evenly_and_then_falls_to_nearly_nothing() -> None:
    rates = [learning_rate(PHASE, step, 20) for step in range(20)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[4] == pytest.approx(0.8)
    assert rates[12] == pytest.approx(0.4)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize("phase", [HEAD, NETWORK])
@pytest.mark.parametrize("steps", [1, 2, 1000])
def test_no_rate_is_above_the_phases_own(phase: Phase, steps: int) -> None:
    rates = [learning_rate(phase, step, steps) for step in range(steps)]
    assert all(0 < rate <= phase.learning_rate for rate in rates)


def test_a_network_is_trained_with_a_small_rate_and_a_warm_up() -> None:
    assert NETWORK.learning_rate == 2e-5
    assert NETWORK.warm_up > 0
    assert NETWORK.clip > 0
