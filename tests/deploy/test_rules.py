"""Prometheus' and Alertmanager's own tools read what is in deploy/prometheus, and run its tests."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.paths import ROOT
from tests.support.prometheus import tool

PROMETHEUS = ROOT / "deploy" / "prometheus"


def run(name: str, *arguments: str) -> str:
    """What a tool prints; its failure is the test's."""
    done = subprocess.run(
        [tool(name), *arguments],
        check=False,
        cwd=PROMETHEUS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_example_and_its_rules() -> None:
    said = run("promtool", "check", "config", "prometheus.yml")
    for path in (PROMETHEUS / "rules").iterdir():
        assert f"Checking rules/{path.name}\n  SUCCESS" in said


def test_promtool_finds_no_fault_with_the_rules() -> None:
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *rule_files())


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").iterdir()), ids=lambda p: p.stem)
def test_alerts_fire_when_they_should_and_only_then(path: object) -> None:
    run("promtool", "test", "rules", str(path))


def test_amtool_accepts_the_example() -> None:
    assert "SUCCESS" in run("amtool", "check-config", "alertmanager.yml")


@pytest.mark.parametrize(
    ("severity", "receiver"), [("page", "pager"), ("ticket", "tickets"), ("info", "nobody")]
)
def test_alerts_are_routed_by_their_severity(severity: str, receiver: str) -> None:
    route = ("config", "routes", "test", "--config.file=alertmanager.yml")
    run("amtool", *route, f"--verify.receivers={receiver}", f"severity={severity}")


def rule_files() -> list[str]:
    return [str(path) for path in sorted((PROMETHEUS / "rules").iterdir())]
