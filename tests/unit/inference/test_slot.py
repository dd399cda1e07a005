"""How long a slot waits for its process, and where it puts batches; without a process."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, write
from tests.support.small_model import SPEC
from worker.device import CPU, Device
from worker.errors import ModelError, PredictorCrashedError, PredictorError
from worker.failpoints import Failpoints
from worker.inference.protocol import Failed, Loaded, Ran, Run, SharedBatch, to_message
from worker.inference.slot import Slot
from worker.model import load_model_spec
from worker.runtime.messages import Channel
from worker.runtime.processes import anonymous_file

BOUND = 60.0


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

    monkeypatch.setattr(slot._process, "ask", ask)
    slot.choose("paddle", solo_threads=2)
    memory = anonymous_file()
    slot._process.shared = SharedBatch(memory, 1, SPEC.input_size, 1)
    os.close(memory)
    slot.prepare_solo()
    slot.run(list(slot._process.shared.crops), solo=True)
    assert asked == [(Run(1, 2), 61), (Run(1, 2), 1)]


def test_a_batch_is_computed_in_the_parts_that_were_chosen_and_measured_in_others(
    spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = spoken.slot
    slot.part = 2
    assert slot.begin_at_once([IMAGE, IMAGE]) is not None
    assert spoken.process.receive(BOUND) == to_message(Run(2, part=2))
    asked: list[object] = []

    def ask(message: object, timeout: float) -> Ran:
        asked.append(message)
        return Ran(0.0, 0.0)

    monkeypatch.setattr(slot._process, "ask", ask)
    slot.run([IMAGE])
    slot.time([IMAGE, IMAGE])
    slot.time([IMAGE, IMAGE], part=1)
    assert asked == [Run(1, part=2), Run(2), Run(2, part=1)]


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

    monkeypatch.setattr(slot._process, "ask", ask)
    assert slot.stage([], 1) is None, "there is no process"
    first, second = shared_batch(4), shared_batch(4)
    images = [np.full((8, 8, 3), value, np.uint8) for value in (7, 9)]
    slot._process.shared = first
    staged = slot.stage(images, 1)
    assert first.crops[:, 0, 0, 0].tolist() == [0, 0, 7, 9], "the first batch is left alone"
    first.crops[2:] = 1  # to see that nothing is copied
    first.scores[2:] = 0.5
    scores, _ = slot.run(images, buffer=1, staged=staged)
    assert (first.crops[2:] == 1).all()
    assert asked == [Run(2, first=2)]
    assert (scores == 0.5).all()
    slot._process.shared = second
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


class Spoken:
    """A slot whose process is the test: it says what it likes."""

    def __init__(self) -> None:
        self.slot = Slot(
            SPEC, CPU, threads=1, capacity=2, timeout=30, start_timeout=60, failpoints=Failpoints()
        )
        ours, self.theirs = socket.socketpair()
        self.slot._process.channel = Channel(ours)
        self.slot._process.shared = self.shared = shared_batch(2)
        self.process = Channel(self.theirs)

    def say(self, said: Ran | Failed | Loaded, scores: float = 0.5) -> None:
        self.shared.scores[:] = scores
        self.process.send(to_message(said))


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    spoken = Spoken()
    with spoken.process:
        yield spoken
    spoken.slot.kill()


IMAGE = np.full((8, 8, 3), 7, np.uint8)


def test_a_batch_is_begun_and_finished_without_waiting(spoken: Spoken) -> None:
    begun = spoken.slot.begin_at_once([IMAGE, IMAGE])
    assert begun is not None
    assert spoken.process.receive(BOUND) == to_message(Run(2))
    assert (spoken.shared.crops == 7).all()
    assert spoken.slot.finish_at_once(begun) is None, "there is no answer yet"
    spoken.say(Ran(0.25, 0.5), scores=0.125)
    answer = spoken.slot.finish_at_once(begun)
    assert answer is not None
    scores, seconds = answer
    assert scores.tolist() == [[0.125], [0.125]]
    assert seconds == 0.25
    spoken.shared.scores[:] = 9.0
    assert (scores == 0.125).all(), "what was checked can be changed by nobody"
    assert spoken.slot.begin_at_once([IMAGE]) is not None, "the answer has been taken"


def test_an_answer_that_is_not_whole_is_waited_for_elsewhere(spoken: Spoken) -> None:
    begun = spoken.slot.begin_at_once([IMAGE])
    assert begun is not None
    spoken.shared.scores[:] = 0.5
    ran = b'{"Ran": {"seconds": 0.25, "cpu_seconds": 0.5}}'
    spoken.theirs.sendall(len(ran).to_bytes(4, "big") + ran[:20])
    assert spoken.slot.finish_at_once(begun) is None
    spoken.theirs.sendall(ran[20:])
    scores, seconds = spoken.slot.finish(begun)
    assert (scores.tolist(), seconds) == ([[0.5]], 0.25)


@pytest.mark.parametrize(
    ("said", "scores", "error", "what"),
    [
        (Failed("it is too dark"), 0.5, PredictorError, "it is too dark"),
        (Loaded(1, "paddle"), 0.5, PredictorCrashedError, "nonsense"),
        (Ran(0.1, 0.1), 7.0, PredictorCrashedError, "these are no scores"),
        (Ran(0.1, 0.1), math.nan, PredictorCrashedError, "these are no scores"),
        (Ran(-1.0, 0.1), 0.5, PredictorCrashedError, "nonsense"),
    ],
)
def test_what_is_no_right_answer_is_left_to_who_may_wait(
    spoken: Spoken,
    said: Ran | Failed | Loaded,
    scores: float,
    error: type[PredictorError],
    what: str,
) -> None:
    begun = spoken.slot.begin_at_once([IMAGE])
    assert begun is not None
    spoken.say(said, scores)
    # To end a process takes time, which an event loop has not.
    assert spoken.slot.finish_at_once(begun) is None
    with pytest.raises(error, match=what):
        spoken.slot.finish(begun)
    assert spoken.slot.running == (error is PredictorError)


def test_a_process_that_answers_unasked_gets_no_batch(spoken: Spoken) -> None:
    begun = spoken.slot.begin_at_once([IMAGE])
    assert begun is not None
    spoken.say(Ran(0.1, 0.1))
    # The scores of the next batch would be those of this one.
    spoken.say(Ran(0.1, 0.1))
    assert spoken.slot.finish_at_once(begun) is not None
    assert spoken.slot.begin_at_once([IMAGE]) is None
    with pytest.raises(PredictorCrashedError, match="says more than it was asked"):
        spoken.slot.run([IMAGE])


def test_a_process_that_reads_nothing_does_not_hold_up_the_event_loop(spoken: Spoken) -> None:
    for _ in range(100_000):
        if spoken.slot.begin_at_once([IMAGE]) is None:
            return
    pytest.fail("there was room for whatever was said")


def test_what_takes_long_is_not_for_an_event_loop(
    spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = spoken.slot.begin_at_once([IMAGE])
    assert begun is not None
    spoken.say(Ran(0.1, 0.1))
    monkeypatch.setattr("worker.inference.slot.AT_ONCE_BYTES", IMAGE.nbytes - 1)
    assert spoken.slot.finish_at_once(begun) is not None
    assert spoken.slot.begin_at_once([IMAGE]) is None
    staged = spoken.slot.stage([IMAGE], 0)
    begun = spoken.slot.begin_at_once([IMAGE], staged=staged)
    assert begun is not None, "nothing is left to copy"
    spoken.say(Ran(0.1, 0.1))
    monkeypatch.setattr("worker.inference.slot.AT_ONCE_BYTES", 3)
    assert spoken.slot.finish_at_once(begun) is None
    assert spoken.slot.finish(begun)[0].tolist() == [[0.5]]


def test_without_a_process_nothing_is_begun() -> None:
    slot = Slot(
        SPEC, CPU, threads=1, capacity=1, timeout=1, start_timeout=60, failpoints=Failpoints()
    )
    assert slot.begin_at_once([IMAGE]) is None
    assert slot.fileno() == -1
