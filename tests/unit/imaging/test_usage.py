"""How busy image processes are: never for longer than they are there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.clock import Clock
from worker.imaging.process import Role
from worker.imaging.usage import Usage
from worker.metrics import Metrics


class Bench:
    """Processes without processes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.processes: list[SimpleNamespace] = []
        self.metrics = Metrics()
        clock = Clock(lambda: self.now)
        self.usage = Usage(self.metrics, clock, cast("Any", self.processes), tuple)
        self.usage.show()

    def process(self, role: Role) -> SimpleNamespace:
        process = SimpleNamespace(role=role, born=self.now, since=self.now, calls=["a call"])
        self.processes.append(process)
        return process

    def end(self, process: SimpleNamespace) -> None:
        self.processes.remove(process)
        self.usage.add_busy(self.now - process.since)
        self.usage.add_ended(cast("Any", process), 0.0)

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"classify_image_processes{name}")


def test_processes_that_are_aside_or_alone_count_too() -> None:
    bench = Bench()
    for role in (Role.REGULAR, Role.ASIDE, Role.ALONE):
        bench.process(role)
    bench.now += 10
    assert bench.value("") == 1
    assert bench.value("_busy_seconds_total") == pytest.approx(30)
    assert bench.value("_up_seconds_total") == pytest.approx(30)


def test_those_that_are_gone_count_as_well() -> None:
    bench = Bench()
    regular, alone = bench.process(Role.REGULAR), bench.process(Role.ALONE)
    regular.calls = []
    bench.now += 4
    bench.end(alone)
    bench.now += 6
    assert bench.value("_busy_seconds_total") == pytest.approx(4)
    assert bench.value("_up_seconds_total") == pytest.approx(14)
