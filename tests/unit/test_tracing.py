"""Whether there is tracing at all, and variables that it cannot follow."""

from __future__ import annotations

import importlib.util
import threading

import pytest

from worker.errors import SettingsError, UnfitSystemError
from worker.settings import Settings, TracingSettings
from worker.tracing import open_tracing
from worker.tracing.export import Tracing

ON = Settings(tracing=TracingSettings(enabled=True))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")


async def test_there_is_none_unless_it_is_enabled() -> None:
    assert open_tracing(Settings()) is None
    await stop(open_tracing(ON))


async def stop(tracing: Tracing | None) -> None:
    """End the threads of a tracing that must be there."""
    before = threading.enumerate()
    assert tracing is not None
    await tracing.stop(10.0)
    for thread in set(threading.enumerate()) - set(before):
        thread.join(10.0)


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_SDK_DISABLED", "True"), ("OTEL_TRACES_EXPORTER", "none")]
)
def test_a_standard_variable_turns_it_off(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert open_tracing(ON) is None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "'zipkin': this worker exports with otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "'grpc': this worker speaks http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "write http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://host:99999", "no address"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "no address"),
    ],
)
def test_what_it_cannot_follow_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable} is .*{said}"):
        open_tracing(ON)


async def test_a_variable_of_traces_hides_the_one_of_all_signals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    await stop(open_tracing(ON))


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UnfitSystemError, match=r"tracing\.enabled needs opentelemetry\.sdk and .*"):
        open_tracing(ON)
