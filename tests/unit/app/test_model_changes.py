"""Changes that nobody waits for any more: the worker stops."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.app.model_changes import ModelChanges
from worker.contract.jobs import ModelIdentity
from worker.contract.model_changes import ChangeOutcome
from worker.health import Health
from worker.metrics import Metrics
from worker.settings import Settings

BOUND = 10.0
ENGINE = SimpleNamespace(identity=ModelIdentity("a model", "sha256:00", "paddle"))


def unreadable() -> Settings:
    raise OSError("the disk is away")


@pytest.fixture
def changes() -> ModelChanges:
    metrics = Metrics()
    health = Health(BOUND, metrics, kafka=False)
    return ModelChanges(cast("Any", ENGINE), Settings(), health, metrics, unreadable, slots=1)


async def test_a_reload_does_not_wait_for_a_change_that_was_cancelled_before_it_ran(
    changes: ModelChanges,
) -> None:
    begun = changes.begin("another")
    assert begun is not None
    waiting = asyncio.create_task(changes.reload("signal"))
    # It has its turn before the change has.
    changes.cancel()
    done, _ = await asyncio.wait((waiting,), timeout=BOUND)
    assert done
    assert begun.cancelled()
    assert waiting.cancelled()
    await changes.stop()


async def test_what_the_system_does_not_number_is_told_in_its_own_words(
    changes: ModelChanges,
) -> None:
    async with asyncio.timeout(BOUND):
        change = await changes.reload("signal")
    assert change.outcome is ChangeOutcome.FAILED
    assert change.message.endswith(": the disk is away")
