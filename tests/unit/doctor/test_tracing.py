"""What doctor says of tracing."""

from __future__ import annotations

import socket

import pytest

from worker.doctor.checks import all_checks
from worker.doctor.findings import Status
from worker.doctor.tracing import look_at_tracing
from worker.settings import Settings, TracingSettings

ON = Settings(tracing=TracingSettings(enabled=True))


def endpoint(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)


def test_a_collector_that_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        endpoint(monkeypatch, f"http://127.0.0.1:{port}")
        (found,) = look_at_tracing(ON, 5.0)
    assert (found.status, found.found) == (Status.OK, f"collector 127.0.0.1:{port}")


def test_one_that_does_not_is_a_warning(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> None:
    endpoint(monkeypatch, f"http://127.0.0.1:{unused_port}")
    (found,) = look_at_tracing(ON, 5.0)
    assert found.status is Status.WARN
    assert "does not answer (Connection refused)" in found.found


def test_what_would_end_the_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint(monkeypatch, "collector:4318")
    (found,) = look_at_tracing(ON, 5.0)
    assert found.status is Status.FAIL
    assert "write http://collector:4318" in found.remedy


def test_a_variable_that_turns_it_off_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    (found,) = look_at_tracing(ON, 5.0)
    assert (found.status, found.found) == (Status.OK, "off: an OTEL_* variable says so")


@pytest.mark.parametrize("enabled", [True, False])
def test_it_is_looked_at_where_it_is_enabled(enabled: bool) -> None:
    settings = Settings(tracing=TracingSettings(enabled=enabled))
    subjects = [check.subject for check in all_checks(settings, None, 1.0, kafka=False)]
    assert ("Tracing" in subjects) is enabled
