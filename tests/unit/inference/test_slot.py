"""How long a slot waits for its process, without a process."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support.small_model import SPEC
from worker.device import CPU
from worker.failpoints import Failpoints
from worker.inference.protocol import Ran, Run, SharedBatch
from worker.inference.slot import Slot
from worker.runtime.processes import anonymous_file


def test_to_load_a_second_copy_of_the_network_takes_as_long_as_a_start_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slot = Slot(
        SPEC, CPU, threads=1, capacity=1, timeout=1, start_timeout=60, failpoints=Failpoints()
    )
    asked: list[tuple[Any, float]] = []

    def ask(message: object, timeout: float) -> Ran:
        asked.append((message, timeout))
        return Ran(0.0, 0.0)

    monkeypatch.setattr(slot, "_ask", ask)
    slot.choose("paddle", solo_threads=2)
    memory = anonymous_file()
    slot._shared = SharedBatch(memory, 1, SPEC.input_size, 1)
    os.close(memory)
    slot.prepare_solo()
    slot.run(list(slot._shared.crops), solo=True)
    assert asked == [(Run(1, 2), 61), (Run(1, 2), 1)]
