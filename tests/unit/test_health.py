"""Liveness and readiness through a worker's life, with a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.clock import Clock
from worker.health import Health, Heartbeat, watch_event_loop
from worker.metrics import Metrics

LIMIT = 10.0


class Life:
    """A worker's health, and time that passes when told."""

    def __init__(self, *, kafka: bool = True) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self.health = Health(LIMIT, self.metrics, kafka=kafka)
        self.health.poll = Heartbeat(LIMIT, clock=Clock(lambda: self.now))

    @property
    def gauge(self) -> float | None:
        return self.metrics.registry.get_sample_value("classify_ready")


def test_ready_is_assigned_and_warm_and_not_draining() -> None:
    life = Life()
    assert life.health.not_ready() == ["not warm", "not assigned"]
    assert life.gauge == 0
    life.health.set_warm()
    assert life.health.not_ready() == ["not assigned"]
    life.health.set_assigned(True)
    assert life.health.not_ready() == []
    assert life.gauge == 1
    life.health.set_assigned(False)
    assert life.health.not_ready() == ["not assigned"]
    assert life.gauge == 0
    life.health.set_assigned(True)
    life.health.set_draining()
    assert life.health.not_ready() == ["draining"]
    assert life.gauge == 0


def test_a_worker_that_may_not_write_its_answers_is_not_ready_but_lives() -> None:
    life = Life()
    life.health.set_warm()
    life.health.set_assigned(True)
    life.health.set_publishing(False)
    assert life.health.not_ready() == ["not publishing"]
    assert life.gauge == 0
    assert life.health.not_live() == [], "to start it again would help nobody"
    life.health.set_publishing(True)
    assert life.health.not_ready() == []
    assert life.gauge == 1


def test_a_worker_that_no_broker_answers_is_not_ready_but_lives() -> None:
    life = Life()
    life.health.set_warm()
    life.health.set_assigned(True)
    lost = True
    life.health.brokers_lost = lambda: lost
    life.health.refresh()
    assert life.health.not_ready() == ["no broker answers"]
    assert life.gauge == 0
    assert life.health.not_live() == []
    lost = False
    life.health.refresh()
    assert life.health.not_ready() == []
    assert life.gauge == 1


def test_without_kafka_nothing_is_assigned_and_no_poll_is_due() -> None:
    life = Life(kafka=False)
    life.health.set_warm()
    assert life.health.not_ready() == []
    life.now = 1e6
    assert life.health.not_live() == []


def test_a_worker_that_still_loads_is_live_however_long_that_takes() -> None:
    life = Life()
    life.now = 100 * LIMIT
    assert life.health.not_live() == []
    life.health.set_warm()
    assert life.health.not_live() == [], "the first poll is not due yet"


def test_a_model_that_is_pulled_is_why_the_worker_is_not_warm_and_no_fault() -> None:
    life = Life()
    life.health.pulling = True
    assert life.health.not_ready() == ["pulling the model", "not warm", "not assigned"]
    assert life.health.not_live() == []


def test_a_backend_that_is_selected_is_why_the_worker_is_not_warm_and_no_fault() -> None:
    life = Life()
    life.health.selecting = "measuring backends"
    life.now = 100 * LIMIT
    assert life.health.not_ready() == ["measuring backends", "not warm", "not assigned"]
    assert life.health.not_live() == []
    life.health.selecting = ""
    assert life.health.not_ready() == ["not warm", "not assigned"]


def test_polls_that_stop_are_no_life() -> None:
    life = Life()
    life.health.set_warm()
    life.now = LIMIT
    assert life.health.not_live() == []
    life.now += 0.1
    assert life.health.not_live() == ["no poll for 10 s"]
    life.health.poll.beat()
    assert life.health.not_live() == []


def test_draining_is_alive_and_a_stalled_predictor_is_not() -> None:
    life = Life()
    life.health.set_warm()
    life.health.set_draining()
    assert life.health.not_live() == []
    life.health.predictor_stalled = lambda: True
    assert life.health.not_live() == ["a predictor makes no progress"]


async def test_a_stall_of_the_event_loop_is_shown() -> None:
    metrics = Metrics()
    watching = asyncio.create_task(watch_event_loop(metrics))

    def lag() -> float:
        return metrics.registry.get_sample_value("classify_event_loop_lag_seconds") or 0.0

    loop = asyncio.get_running_loop()
    for _ in range(3):
        await asyncio.sleep(0)
    end = loop.time() + 0.3
    while loop.time() < end:
        pass
    async with asyncio.timeout(5.0):
        while lag() < 0.2:  # noqa: ASYNC110 - a gauge tells nobody
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_who_wants_to_know_is_told_of_each_change() -> None:
    health = Health(1.0, Metrics())
    told: list[Sequence[str]] = []
    health.on_change = told.append
    health.set_warm()
    health.set_assigned(assigned=True)
    health.set_draining()
    assert told == [["not assigned"], [], ["draining"]]
