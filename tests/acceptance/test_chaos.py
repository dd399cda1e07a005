"""The fault harness: short runs on one broker and on three, and one that is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.harness import until, wait_until_gone
from tests.support.paths import ROOT

ONE_BROKER = ("worker-term", "predictor-hang", "broker-kill", "host-dies", "topic-recreated")
THREE_BROKERS = (
    "worker-kill",
    "worker-zombie",
    "predictor-kill",
    "broker-kill",
    "connections-cut",
    "records-deleted",
)
JOBS = 800


def command(directory: Path, seed: int, faults: int, *arguments: str) -> list[str]:
    fixed = {"--jobs": JOBS, "--minutes": 4, "--workers": 2, "--logs": directory}
    given = {"--seed": seed, "--faults": faults, "--output": directory / "report.json", **fixed}
    words = [str(word) for pair in given.items() for word in pair]
    return [sys.executable, "-m", "chaos", *words, *arguments]


@pytest.mark.parametrize(
    ("seed", "brokers", "kinds", "delivery"),
    [(11, 1, ONE_BROKER, "at_least_once"), (12, 3, THREE_BROKERS, "exactly_once")],
)
def test_every_promise_is_kept_whatever_fails(
    tmp_path: Path, seed: int, brokers: int, kinds: tuple[str, ...], delivery: str
) -> None:
    only = [word for kind in kinds for word in ("--only", kind)]
    given = ("--brokers", str(brokers), "--delivery", delivery, *only)
    run = subprocess.run(
        command(tmp_path, seed, len(kinds), *given),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found: dict[str, Any] = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["breaches"] == []
    assert found["answered"] + found["removed"] == found["jobs"] == JOBS
    assert found["faults"].keys() | found["nothing_to_act_on"].keys() == set(kinds)
    assert "Kept: " in run.stdout


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    arguments = command(tmp_path, 13, 0, "--brokers", "1")
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        logs = tmp_path / "worker-1-1.log"
        until(lambda: logs.exists() and logs.stat().st_size > 0, "workers are started")
        started = [child.pid for child in psutil.Process(run.pid).children(recursive=True)]
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130, run.stderr
    wait_until_gone(started)
