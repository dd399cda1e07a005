"""When faults happen: after so many jobs, a few at a time, and whether or not jobs go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chaos import conductor as module
from chaos.conductor import AT_ONCE, Conductor
from chaos.faults import Nothing
from chaos.schedule import Fault, Kind

BOUND = 20.0


def fault(number: int, at: int, kind: Kind = Kind.WORKER_KILL) -> Fault:
    return Fault(number, at, kind, 0, 0.0, 0, ahead=False)


class Stage:
    """A run in which jobs are done as the test says, and faults end when it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, schedule: list[Fault]) -> None:
        self.done = 0
        self.traffic = self
        self.begun: list[int] = []
        self.endings: dict[int, asyncio.Future[None]] = {}
        self.stepped = asyncio.Event()
        monkeypatch.setattr(module, "execute", self.execute)
        environment: Any = self
        self.conductor = Conductor(schedule, environment)

    async def execute(self, fault: Fault, on: object) -> None:
        self.begun.append(fault.number)
        ending = self.endings[fault.number] = asyncio.get_running_loop().create_future()
        await ending

    async def wait(self, timeout: float) -> None:
        self.stepped.set()
        await asyncio.sleep(0.001)

    async def step(self) -> None:
        """Let the conductor look around, twice: what begins in one look is seen after it."""
        for _ in range(3):
            self.stepped.clear()
            await self.stepped.wait()


@pytest.fixture(autouse=True)
def _never_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 1e9)


async def test_a_fault_waits_for_its_number_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, [fault(0, 10), fault(1, 20)])
    async with asyncio.timeout(BOUND):
        playing = asyncio.create_task(stage.conductor.play(lambda what: None))
        stage.done = 9
        await stage.step()
        assert stage.begun == []
        stage.done = 10
        await stage.step()
        assert stage.begun == [0]
        stage.done = 25
        await stage.step()
        assert stage.begun == [0, 1]
        for ending in stage.endings.values():
            ending.set_result(None)
        await playing
    assert stage.conductor.counts == {Kind.WORKER_KILL: 2}
    assert stage.conductor.over == 2


async def test_only_a_few_go_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, [fault(number, 0) for number in range(AT_ONCE + 1)])
    async with asyncio.timeout(BOUND):
        playing = asyncio.create_task(stage.conductor.play(lambda what: None))
        await stage.step()
        assert len(stage.begun) == AT_ONCE
        stage.endings[0].set_result(None)
        await stage.step()
        assert len(stage.begun) == AT_ONCE + 1
        for number in range(1, AT_ONCE + 1):
            stage.endings[number].set_result(None)
        await playing


async def test_a_fault_comes_although_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, [fault(0, 1000)])
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    async with asyncio.timeout(BOUND):
        playing = asyncio.create_task(stage.conductor.play(lambda what: None))
        await stage.step()
        assert stage.begun == [0]
        stage.endings[0].set_exception(Nothing())
        await playing
    assert stage.conductor.counts == {}
    assert stage.conductor.nothing == {Kind.WORKER_KILL: 1}


async def test_what_a_fault_raises_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, [fault(0, 0), fault(1, 0)])
    async with asyncio.timeout(BOUND):
        playing = asyncio.create_task(stage.conductor.play(lambda what: None))
        await stage.step()
        stage.endings[0].set_exception(RuntimeError("did not come up again"))
        with pytest.raises(RuntimeError, match="did not come up again"):
            await playing
    assert stage.endings[1].cancelled()
