"""What an owner hears of a training's process, whatever comes together."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from worker.runtime.messages import Channel
from worker.training.child import TrainingProcess


def test_an_answer_that_comes_together_with_progress_is_heard() -> None:
    ours, theirs = socket.socketpair()
    process = TrainingProcess.__new__(TrainingProcess)
    process._channel = Channel(ours)
    heard: list[Mapping[str, Any]] = []
    looks: Iterator[int] = count()

    def stopping() -> bool:
        assert next(looks) < 3, "it waits for what has come already"
        return False

    with Channel(theirs) as said, process._channel:
        said.send({"is": "progress", "done": 1})
        said.send({"is": "fitted"})
        assert process.answer(heard.append, stopping) == {"is": "fitted"}
    assert heard == [{"is": "progress", "done": 1}]
