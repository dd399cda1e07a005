"""Linters find nothing in the Dockerfile, and the list of what is in the image is true."""

from __future__ import annotations

import json
import re
import subprocess

from tests.support.paths import ROOT

TOOLS = ROOT / ".venv-deploy" / "bin"
SECONDS = 120


def check(tool: str, *arguments: str) -> str:
    """What a tool of requirements/deploy.txt says; it must find nothing."""
    done = subprocess.run(
        [TOOLS / tool, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_hadolint_finds_nothing() -> None:
    check("hadolint", "Dockerfile")


def test_checkov_finds_nothing() -> None:
    # Without its publisher's host, which only has longer explanations.
    said = check("checkov", "--file", "Dockerfile", "--skip-download", "--compact")
    assert "Failed checks: 0" in said


def test_the_list_of_packages_is_that_of_the_lock(image: str) -> None:
    path = ROOT / "out/image" / f"{re.sub('[:/]', '-', image)}.cdx.json"
    components = json.loads(path.read_text("utf-8"))["components"]
    found = {(part["name"], part.get("version")) for part in components}
    lock = (ROOT / "requirements/headless.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==(\S+) \\$", lock, re.MULTILINE))
    assert len(pinned) > 40
    assert pinned <= found
    names = {name for name, _ in found}
    assert {"classify-worker", "tini", "libgomp1"} <= names
    assert not {"opencv-python", "pip", "hatchling", "pytest", "binutils"} & names
