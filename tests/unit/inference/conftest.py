"""The model of the run, and slots which are gone after their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from worker.failpoints import Failpoints
from worker.inference.slot import Slot
from worker.model import ModelSpec, load_model_spec


@pytest.fixture(scope="session")
def spec(model_dir: Path) -> ModelSpec:
    return load_model_spec(model_dir)


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
            slot = Slot(model, "cpu", **(defaults | options))
            cleanup.callback(slot.kill)
            return slot

        yield make


@pytest.fixture(scope="session")
def crops() -> list[npt.NDArray[np.uint8]]:
    """Four crops of noise in the size of the run's model."""
    return list(np.random.default_rng(7).integers(0, 256, (4, 224, 224, 3), np.uint8))
