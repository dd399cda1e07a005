"""How long a slot waits for its process, and where it puts batches; without a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, write
from tests.support.small_model import SPEC
from worker.device import CPU, Device
from worker.errors import ModelError
from worker.failpoints import Failpoints
from worker.inference.protocol import Ran, Run, SharedBatch
from worker.inference.slot import Slot
from worker.model import load_model_spec
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


def test_what_has_computed_is_forgotten_when_something_else_is_chosen() -> None:
    slot = Slot(
        SPEC, CPU, threads=1, capacity=1, timeout=1, start_timeout=60, failpoints=Failpoints()
    )
    slot.choose("openvino", threads=2)
    slot.backend = "openvino"
    slot.choose("openvino", threads=2)
    assert (slot.backend, slot._start.threads) == ("openvino", 2)
    slot.choose("openvino")
    assert (slot.backend, slot._start.threads) == ("", 1)
    slot.backend = "openvino"
    slot.choose("paddle")
    assert slot.backend == ""


@pytest.mark.parametrize(("device", "buffers"), [("cpu", 1), ("gpu:0", 2), ("npu:0", 1)])
def test_a_gpus_slot_has_room_for_the_next_batch(device: str, buffers: int) -> None:
    slot = Slot(
        SPEC,
        Device.parse(device),
        threads=1,
        capacity=3,
        timeout=1,
        start_timeout=60,
        failpoints=Failpoints(),
    )
    assert slot.buffers == slot._start.buffers == buffers


def test_a_batch_that_is_staged_is_not_copied_again_and_one_for_another_process_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.inference.slot.buffers_for", lambda device: 2)
    slot = Slot(
        SPEC, CPU, threads=1, capacity=2, timeout=1, start_timeout=60, failpoints=Failpoints()
    )
    asked: list[object] = []

    def ask(message: object, timeout: float) -> Ran:
        asked.append(message)
        return Ran(0.0, 0.0)

    monkeypatch.setattr(slot, "_ask", ask)
    assert slot.stage([], 1) is None, "there is no process"
    first, second = shared_batch(4), shared_batch(4)
    images = [np.full((8, 8, 3), value, np.uint8) for value in (7, 9)]
    slot._shared = first
    staged = slot.stage(images, 1)
    assert first.crops[:, 0, 0, 0].tolist() == [0, 0, 7, 9], "the first batch is left alone"
    first.crops[2:] = 1  # to see that nothing is copied
    first.scores[2:] = 0.5
    scores, _ = slot.run(images, buffer=1, staged=staged)
    assert (first.crops[2:] == 1).all()
    assert asked == [Run(2, first=2)]
    assert (scores == 0.5).all()
    slot._shared = second
    slot.run(images, buffer=1, staged=staged)
    assert second.crops[:, 0, 0, 0].tolist() == [0, 0, 7, 9]


def shared_batch(rows: int) -> SharedBatch:
    memory = anonymous_file()
    try:
        return SharedBatch(memory, rows, SPEC.input_size, 1)
    finally:
        os.close(memory)


def test_no_process_starts_with_files_that_were_replaced(tmp_path: Path) -> None:
    spec = load_model_spec(write(tmp_path / "model", document(RESIZE, CROP, NORMALIZE)))
    slot = Slot(
        spec, CPU, threads=1, capacity=1, timeout=1, start_timeout=60, failpoints=Failpoints()
    )
    spec.params.write_bytes(b"other weights")
    # Its results would name the model that was read. Nothing is started, or this test would fail.
    with pytest.raises(ModelError, match="no longer those of the model"):
        slot.start()
    assert slot.pid is None
