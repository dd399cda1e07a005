"""Where spans go, what the SDK may say about it, and a collector that does not answer."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.otlp import Collector
from worker.clock import Clock
from worker.contract.records import Record
from worker.errors import SettingsError
from worker.settings import Settings
from worker.tracing.export import BETWEEN_COMPLAINTS, Tracing, _Throttle

SAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BOUND = 30.0
JOB = Record("image-jobs", 0, 0, -1, None, b"{}", ())


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")  # milliseconds
    before = set(threading.enumerate())
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector
    for thread in set(threading.enumerate()) - before:
        thread.join(BOUND)
        assert not thread.is_alive(), f"{thread.name} goes on"


def make_spans(tracing: Tracing, count: int = 1) -> None:
    for _ in range(count):
        with tracing.tracer.process(JOB):
            pass


async def test_the_last_spans_are_exported_when_it_stops(collector: Collector) -> None:
    tracing = Tracing(Settings())
    make_spans(tracing, 3)
    await tracing.stop(10.0)
    assert [span.name for span in collector.spans] == ["process image-jobs"] * 3
    assert collector.spans[0].resource["service.name"] == "classify-worker"
    assert collector.spans[0].resource["service.version"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_SERVICE_NAME", "mine"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,a=b")],
)
async def test_the_service_can_be_named(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    tracing = Tracing(Settings())
    make_spans(tracing)
    await tracing.stop(10.0)
    assert collector.spans[0].resource["service.name"] == "mine"


async def test_a_batch_is_sampled_with_its_jobs_and_keeps_all_links(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracing = Tracing(Settings())
    sampled = replace(JOB, headers=(("traceparent", SAMPLED),))
    with tracing.tracer.process(sampled):
        waits = [(tracing.tracer.origin(), 0.0)] * 500
    make_spans(tracing)  # which nobody has sampled
    with tracing.tracer.infer(waits, slot=0, closed="full"):
        pass
    await tracing.stop(10.0)
    names = [span.name for span in collector.spans]
    assert names.count("process image-jobs") == 1
    (batch,) = (span for span in collector.spans if span.name == "infer")
    assert len(batch.links) == 500


async def test_a_collector_that_says_nothing_costs_spans_alone(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.fall_silent()
    tracing = Tracing(Settings())
    make_spans(tracing)
    await asyncio.to_thread(collector.wait_until_asked)
    make_spans(tracing, 5000)  # more than the queue holds: nothing waits
    began = time.monotonic()
    await tracing.stop(0.2)
    # The exporter's own bounds are 10 s a request, and 30 s in all.
    assert time.monotonic() - began < 8
    assert not collector.spans
    said = [record.msg for record in caplog.records if record.name.startswith("opentelemetry")]
    assert len(said) == 1, "of thousands of spans that are dropped"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_BSP_MAX_QUEUE_SIZE", "-1"), ("OTEL_SPAN_LINK_COUNT_LIMIT", "many")],
)
def test_a_value_that_the_sdk_refuses_is_an_error_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=r"the OTEL_\* variables cannot be used"):
        Tracing(Settings())


def test_the_sdk_says_the_same_thing_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    throttle = _Throttle(Clock(lambda: now))

    def complain(text: str) -> None:
        throttle.handle(logging.LogRecord("opentelemetry.x", 30, "", 0, text, (1,), None))

    for _ in range(1000):
        complain("lost %d")
    complain("retrying in %d")
    assert caplog.messages == ["lost 1", "retrying in 1"]
    now = BETWEEN_COMPLAINTS
    complain("lost %d")
    assert caplog.messages[2:] == ["lost 1"]
