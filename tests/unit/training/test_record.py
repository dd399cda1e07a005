"""The log of a training."""

from __future__ import annotations

import json
from pathlib import Path

from worker.clock import Clock
from worker.training.record import Record


def test_each_event_is_a_line_of_json_behind_the_others(tmp_path: Path) -> None:
    clock = Clock(wall=lambda: 12.3456)
    Record(tmp_path, clock).write("begun", images=3)
    Record(tmp_path, clock).write("epoch", top1=0.5, name="ä b.png")
    lines = (tmp_path / "train.log").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"time": 12.346, "event": "begun", "images": 3},
        {"time": 12.346, "event": "epoch", "top1": 0.5, "name": "ä b.png"},
    ]
