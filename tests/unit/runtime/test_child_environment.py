"""Processes that the worker starts get what they need of its environment, and no secret."""

from __future__ import annotations

import pytest

from worker.runtime.child_environment import child_environment
from worker.runtime.telemetry import WITHOUT_TELEMETRY
from worker.settings.sources import describe

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "canary",
    "AWS_SESSION_TOKEN": "canary",
    "AZURE_CLIENT_SECRET": "canary",
    "AZURE_STORAGE_CONNECTION_STRING": "canary",
    "DATABASE_URL": "postgres://me:canary@db/x",
    "GITHUB_TOKEN": "canary",
    "GOOGLE_APPLICATION_CREDENTIALS": "canary",
    "HTTPS_PROXY": "http://me:canary@proxy:3128",
    "DB_PASS": "canary",
    "GITHUB_PAT": "canary",
    "KAFKA_SASL_JAAS_CONFIG": "canary",
    "MYSQL_PWD": "canary",
    "MY_API_KEY": "canary",
    "NETRC": "canary",
    "OTEL_EXPORTER_OTLP_HEADERS": "canary",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "canary",
    "PGPASSWORD": "canary",
    "SLACK_WEBHOOK_URL": "canary",
    "SSH_AUTH_SOCK": "canary",
    "STRIPE_KEY": "canary",
    "db_password": "canary",
}
NEEDED = {
    "ASCEND_HOME_PATH": "/usr/local/Ascend",
    "CLASSIFY_WORKER_CACHE": "/cache",
    "CUDA_VISIBLE_DEVICES": "0",
    "CUSTOM_DEVICE_ROOT": "/opt/plugins",
    "FLAGS_allocator_strategy": "auto_growth",
    "HOME": "/root",
    "HTTP_PROXY": "http://proxy:3128",
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    "OMP_NUM_THREADS": "4",
    "OLDPWD": "/old",
    "PATH": "/usr/bin",
    "PWD": "/srv",
    "PYTHONPATH": "/src",
    "TMPDIR": "/scratch",
    "XPU_VISIBLE_DEVICES": "0",
}


def test_secrets_stay_and_the_rest_is_handed_on() -> None:
    settings = {setting.env: "canary" for setting in describe().values()}
    files = {f"{name}_FILE": "canary" for name in settings}
    assert child_environment(NEEDED | SECRETS | settings | files) == {**NEEDED, **WITHOUT_TELEMETRY}


def test_what_is_added_counts() -> None:
    made = child_environment({"A": "1", "B": "2"}, B="3", C="4")
    assert made == {"A": "1", "B": "3", "C": "4", **WITHOUT_TELEMETRY}


def test_libraries_send_nothing_to_their_makers_unless_the_user_says_so() -> None:
    assert child_environment({})["ORT_DISABLE_TELEMETRY"] == "1"
    assert child_environment({"ORT_DISABLE_TELEMETRY": "0"}) == {"ORT_DISABLE_TELEMETRY": "0"}


def test_the_environment_of_this_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_KAFKA__SASL__PASSWORD", "canary")
    monkeypatch.setenv("SOMETHING", "else")
    environment = child_environment()
    assert environment["SOMETHING"] == "else"
    assert "canary" not in environment.values()
