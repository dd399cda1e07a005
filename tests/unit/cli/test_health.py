"""What `health` leaves to the command proper, and its defaults."""

from __future__ import annotations

import pytest

from worker.cli.health_request import DEFAULT_HOST, DEFAULT_PORT, answer_at_once
from worker.settings import HttpSettings


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--timeout", "1"], {}),
        (["--help"], {}),
        ([], {"CLASSIFY_WORKER_CONFIG": "worker.yaml"}),
        ([], {"WORKER_HTTP__PORT_FILE": "port"}),
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
