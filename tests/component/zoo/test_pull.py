"""A model's directory beside other programs: sha256sum, and other processes that pull."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.zoo_host import Host, make_archive
from worker.model import load_model_spec
from worker.settings import ZooSettings
from worker.zoo.catalogue import catalogue
from worker.zoo.pull import RECORDED_CHECKSUMS, pull

NAME = "PP-LCNet_x0_25"
MODEL = catalogue()[NAME]
ARCHIVE = make_archive(NAME)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def settings(host: Host) -> ZooSettings:
    host.files[f"/{MODEL.archive}"] = ARCHIVE
    return ZooSettings(base_url=host.url)


def test_the_record_is_one_that_sha256sum_checks(
    cache: Path, settings: ZooSettings, tmp_path: Path
) -> None:
    pull(MODEL, cache, settings)
    (tmp_path / MODEL.archive).write_bytes(ARCHIVE)
    record = cache / RECORDED_CHECKSUMS
    subprocess.run(["sha256sum", "--check", record], cwd=tmp_path, check=True)  # noqa: S607


def test_processes_that_pull_at_once_download_once(
    cache: Path, settings: ZooSettings, host: Host
) -> None:
    # Time for the others to ask for it too, if they did not wait.
    host.patience = 1.0
    script = """
import sys
from pathlib import Path
from worker.settings import ZooSettings
from worker.zoo.catalogue import catalogue
from worker.zoo.pull import pull

print("ready", flush=True)
sys.stdin.readline()
print(pull(catalogue()[sys.argv[1]], Path(sys.argv[2]), ZooSettings(base_url=sys.argv[3])).sha256)
"""
    pullers = [
        subprocess.Popen(
            [sys.executable, "-c", script, NAME, str(cache), host.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for puller in pullers:
        assert puller.stdout is not None
        assert puller.stdout.readline() == "ready\n"
    for puller in pullers:
        assert puller.stdin is not None
        puller.stdin.write("\n")
        puller.stdin.flush()
    outputs = [puller.communicate(timeout=60)[0].strip() for puller in pullers]
    assert sorted(outputs) == sorted([SHA256, "None", "None"])
    assert len(host.requests) == 1
    load_model_spec(cache / NAME)
