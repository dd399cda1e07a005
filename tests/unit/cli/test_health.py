"""What `health` leaves to the command proper, and its defaults."""

from __future__ import annotations

import pytest

from worker.cli.health_request import DEFAULT_HOST, DEFAULT_PORT, answer_at_once
from worker.settings import HttpSettings
from worker.settings.sources import load


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--timeout", "1"], {}),
        (["--help"], {}),
        ([], {"CLASSIFY_WORKER_CONFIG": "worker.yaml"}),
        ([], {"WORKER_HTTP__PORT_FILE": "port"}),
        ([], {"WORKER_HTTP__METRICS_PORT_FILE": "port"}),
        ([], {"WORKER_HTTP__TLS__CERT_FILE_FILE": "name"}),
        ([], {"WORKER_HTTP__METRICS_PORT": "0", "WORKER_HTTP__PORT": "8080"}),
        ([], {"WORKER_HTTP__PORT": "eighty"}),
        ([], {"WORKER_HTTP__PORT": "0"}),
        ([], {"WORKER_HTTP__PORT": "9" * 5000}),
    ],
)
def test_the_unusual_is_left_to_the_command_proper(
    arguments: list[str], environ: dict[str, str]
) -> None:
    assert answer_at_once(arguments, environ) is None


def test_its_defaults_are_those_of_the_settings() -> None:
    settings = HttpSettings()
    assert (settings.host, settings.port) == (DEFAULT_HOST, DEFAULT_PORT)


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({}, DEFAULT_PORT),
        ({"WORKER_HTTP__PORT": "81"}, 81),
        ({"WORKER_HTTP__PORT": "81", "WORKER_HTTP__METRICS_PORT": "82"}, 82),
        ({"WORKER_HTTP__PORT": "81", "WORKER_HTTP__METRICS_PORT": ""}, 81),
    ],
)
def test_the_port_of_the_probes_is_asked(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], port: int
) -> None:
    asked = []

    def ask(
        host: str, number: int, *, ready: bool, timeout: float, secure: bool
    ) -> tuple[bool, str]:
        asked.append(number)
        assert not secure
        return True, "ok"

    monkeypatch.setattr("worker.cli.health_request.ask", ask)
    assert answer_at_once([], environ) == 0
    assert asked == [port]
    assert load(None, environ=environ).settings.http.probe_port == port
