"""`train.log`: what happened in a training, a JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path

from worker.clock import SYSTEM_CLOCK, Clock

__all__ = ["LOG", "Record"]

LOG = "train.log"


class Record:
    """Appends events to `train.log`; each line is there as soon as it is written.

    Args:
        output: the training's directory.
    """

    def __init__(self, output: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = output / LOG
        self._clock = clock

    def write(self, event: str, **facts: object) -> None:
        """Append an event with the time, in seconds since 1970."""
        line = json.dumps({"time": round(self._clock.wall(), 3), "event": event, **facts})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
