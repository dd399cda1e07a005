"""`make sbom` and `make audit`, with the real tools."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.deploy

PYTHON = ROOT / ".venv-audit" / "bin" / "python"
LOCK = ROOT / "requirements" / "runtime.txt"


def run(script: str, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-W", "ignore", ROOT / "scripts" / script, *arguments],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_list_of_packages_is_that_of_the_lock_and_valid(tmp_path: Path) -> None:
    target = tmp_path / "new" / "runtime.cdx.json"
    made = run("sbom.py", LOCK, target)  # which checks it against CycloneDX's schema
    assert made.returncode == 0, made.stderr
    document = json.loads(target.read_text("utf-8"))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    root = document["metadata"]["component"]
    assert root["name"] == "classify-worker"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", root["version"])
    text = LOCK.read_text("utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))
    assert {(each["name"], each["version"]) for each in document["components"]} == pinned
    hashes = {
        found["content"]
        for each in document["components"]
        for reference in each["externalReferences"]
        for found in reference["hashes"]
    }
    assert hashes == set(re.findall(r"sha256:([0-9a-f]{64})", text))


def test_an_audit_without_a_network_says_that_it_cannot_tell() -> None:
    # Nobody listens there.
    asked = run("audit.py", ROOT / "requirements" / "build.txt", HTTPS_PROXY="http://127.0.0.1:9")
    assert asked.returncode == 3, asked.stdout
    assert "cannot be audited" in asked.stderr
    assert "DATABASE=all.zip" in asked.stderr
