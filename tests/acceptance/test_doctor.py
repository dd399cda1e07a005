"""`doctor` as an operator runs it: against real brokers, and against none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.broker import KafkaBroker
from demo.ports import free_ports
from tests.support.harness import Names, Traffic
from tests.support.zoo_host import Host

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def doctor(quick_model: Path) -> Run:
    """Runs `doctor --format json`: its exit status, and findings by subject."""

    def run(*arguments: str, **environ: str) -> tuple[int, dict[str, Any]]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
        done = subprocess.run(
            [sys.executable, "-m", "worker", "doctor", "--format", "json", *arguments],
            env=inherited | {"WORKER_MODEL": str(quick_model)} | environ,
            capture_output=True,
            timeout=200,
            check=False,
        )
        report = json.loads(done.stdout)
        assert report["usable"] is (done.returncode == 0)
        assert done.stderr == b""
        return done.returncode, {found["subject"]: found for found in report["findings"]}

    return run


async def test_everything_that_is_there(doctor: Run, broker: KafkaBroker, traffic: Traffic) -> None:
    await traffic.create_topics()
    with Host() as host:
        host.files["/cat.jpg"] = b"picture"
        status, found = doctor(
            "--url",
            f"{host.url}/cat.jpg",
            "--timeout",
            "90",
            WORKER_KAFKA__BOOTSTRAP_SERVERS=broker.bootstrap_servers,
            WORKER_FETCH__ALLOW_NETWORKS="127.0.0.0/8",
            **traffic.names.environ(),
        )
    assert status == 0, found
    assert list(found) == [
        "Python",
        "Processor",
        "Paddle",
        "Devices",
        "Codecs",
        "Backends",
        "Cache",
        "Model",
        "Brokers",
        "Jobs topic",
        "Results topic",
        "Dead letters",
        "URLs",
    ]
    assert f"{broker.bootstrap_servers} (PLAINTEXT): 1 broker(s)" in found["Brokers"]["found"]
    for subject, name in [
        ("Jobs topic", traffic.names.jobs),
        ("Results topic", traffic.names.results),
    ]:
        assert found[subject]["found"].startswith(f"{name}: ")
        assert "cleanup.policy delete" in found[subject]["found"]


def test_topics_that_are_missing_are_not_made_by_looking(
    doctor: Run, broker: KafkaBroker, names: Names
) -> None:
    for _ in range(2):
        status, found = doctor(
            "--timeout",
            "90",
            WORKER_KAFKA__BOOTSTRAP_SERVERS=broker.bootstrap_servers,
            **names.environ(),
        )
        assert status == 3
        assert found["Jobs topic"]["found"] == f"{names.jobs} is missing"


def test_without_brokers_the_rest_is_told_and_without_kafka_they_are_not_missed(
    doctor: Run,
) -> None:
    (port,) = free_ports(1)
    away = {"WORKER_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
    status, found = doctor("--timeout", "90", **away)
    assert status == 3
    assert found["Brokers"]["status"] == "fail"
    assert found["Model"]["status"] == "ok"
    status, found = doctor("--timeout", "90", "--no-kafka", **away)
    assert status == 0
    assert "Brokers" not in found
