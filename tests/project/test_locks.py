"""The lock files agree with each other, and name no address."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

REQUIREMENTS = ROOT / "requirements"
PEERS = ROOT / "benchmarks" / "peers" / "requirements"
LOCKS = sorted((*REQUIREMENTS.glob("*.txt"), *PEERS.glob("*.txt")))


def pinned(name: str, directory: Path = REQUIREMENTS) -> dict[str, str]:
    """Versions by package, each with its marker."""
    text = (directory / name).read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(.+?) \\$", text, re.MULTILINE))


def test_headless_is_the_runtime_with_another_build_of_opencv_and_what_is_observed_by() -> None:
    runtime, headless = pinned("runtime.txt"), pinned("headless.txt")
    assert headless.pop("opencv-python-headless") == runtime.pop("opencv-python")
    assert runtime.items() <= headless.items()
    added = headless.keys() - runtime.keys()
    assert added >= {"nvidia-ml-py", "opentelemetry-sdk"}
    tested = pinned("dev.txt")
    assert {name for name in added if headless[name] != tested.get(name)} == {"nvidia-ml-py"}


def test_development_has_the_versions_of_the_runtime() -> None:
    def versions(name: str) -> set[tuple[str, str]]:
        return {(package, pin.split()[0]) for package, pin in pinned(name).items()}

    assert versions("runtime.txt") <= versions("dev.txt")


def test_the_build_backend_is_that_of_development() -> None:
    assert pinned("build.txt").items() <= pinned("dev.txt").items()


@pytest.mark.parametrize("name", [path.name for path in PEERS.glob("*.txt")])
def test_peers_compute_with_the_same_paddle(name: str) -> None:
    assert pinned(name, PEERS)["paddlepaddle"] == pinned("runtime.txt")["paddlepaddle"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert "://" not in text
    assert re.search(r"^(--|-i|-f)", text, re.MULTILINE) is None
    for package in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in package


def test_the_lock_of_the_dashboards_pictures_has_hashes_and_no_registry() -> None:
    directory = ROOT / "deploy" / "grafana" / "render"
    lock = json.loads((directory / "package-lock.json").read_text("utf-8"))
    declared = json.loads((directory / "package.json").read_text("utf-8"))["dependencies"]
    assert lock["packages"].pop("")["dependencies"] == declared
    for name, package in lock["packages"].items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
