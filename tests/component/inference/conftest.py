"""Slots which are gone after their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from worker.device import CPU
from worker.failpoints import Failpoints
from worker.inference.slot import Slot
from worker.model import ModelSpec


@pytest.fixture
def make_slot(spec: ModelSpec) -> Iterator[Callable[..., Slot]]:
    with ExitStack() as cleanup:

        def make(model: ModelSpec = spec, **options: Any) -> Slot:
            defaults: dict[str, Any] = {
                "threads": 1,
                "capacity": 4,
                "timeout": 30.0,
                "start_timeout": 60.0,
                "failpoints": Failpoints(),
            }
            slot = Slot(model, CPU, **(defaults | options))
            cleanup.callback(slot.kill)
            return slot

        yield make
