"""The model: here, to be downloaded, or not to be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demo.ports import free_ports
from tests.support.zoo_host import Host, make_archive, model_files
from worker.doctor.findings import Finding, Status
from worker.doctor.model import look_at_model
from worker.drift.baseline import write_baseline
from worker.drift.counting import BaselineCounts
from worker.model import load_model_spec
from worker.settings import DriftSettings, Settings, ZooSettings

NAME = "PP-LCNet_x1_0"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def look(cache: Path, model: str = NAME, **zoo: object) -> Finding:
    settings = Settings(model=model, model_cache=cache, zoo=ZooSettings.model_validate(zoo))
    (found,) = look_at_model(settings, 10.0)
    return found


def write_model(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for name, content in model_files().items():
        (directory / name).write_bytes(content)
    return directory


@pytest.mark.parametrize("by_path", [True, False])
def test_a_model_that_is_here(tmp_path: Path, by_path: bool) -> None:
    directory = write_model(tmp_path / NAME)
    found = look(tmp_path, str(directory) if by_path else NAME, offline=True)
    assert found.status is Status.OK
    assert found.found.startswith("made up (0.0 MiB, no labels, sha256:")
    assert found.found.endswith(f" in {directory}")


def test_a_baseline_is_to_be_of_the_same_model(tmp_path: Path) -> None:
    directory, path = write_model(tmp_path / NAME), tmp_path / "baseline.json"
    settings = Settings(model_dir=directory, drift=DriftSettings(baseline=path))

    def look_at_baseline() -> Finding:
        model, baseline = look_at_model(settings, 10.0)
        assert model.status is Status.OK
        return baseline

    assert look_at_baseline().status is Status.FAIL
    counts = BaselineCounts()
    counts.count(np.array([0.75, 0.25], np.float32), "cat")
    write_baseline(path, counts.baseline("other", "sha256:0", "sha256:1"))
    found = look_at_baseline()
    assert found.status is Status.WARN
    assert f"evaluate --model {directory}" in found.remedy
    write_baseline(path, counts.baseline("it", load_model_spec(directory).digest, "sha256:1"))
    assert look_at_baseline().status is Status.OK


def test_a_damaged_one_is_no_model(tmp_path: Path) -> None:
    (write_model(tmp_path / NAME) / "inference.pdiparams").write_bytes(b"")
    found = look(tmp_path)
    assert found.status is Status.FAIL
    assert "inference.pdiparams is empty" in found.remedy


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    found = look(tmp_path, "PPLCNet_x1_0")
    assert found.status is Status.FAIL
    assert f"did you mean {NAME}" in found.remedy


def test_offline_it_has_to_be_here(tmp_path: Path) -> None:
    found = look(tmp_path, offline=True)
    assert found.status is Status.FAIL
    assert "zoo.offline" in found.remedy


def test_an_archive_on_disk(tmp_path: Path) -> None:
    assert look(tmp_path, base_url=str(tmp_path)).status is Status.FAIL
    (tmp_path / f"{NAME}_infer.tar").write_bytes(make_archive(NAME))
    found = look(tmp_path, base_url=str(tmp_path))
    assert found.status is Status.OK
    assert f"it is taken from {tmp_path}" in found.found


def test_a_host_is_asked_and_nothing_is_downloaded(tmp_path: Path) -> None:
    with Host() as host:
        missing = look(tmp_path / "cache", base_url=host.url)
        host.files[f"/{NAME}_infer.tar"] = make_archive(NAME)
        there = look(tmp_path / "cache", base_url=host.url)
    assert missing.status is Status.FAIL
    assert "answered 404" in missing.remedy
    assert there.status is Status.OK
    assert "it is downloaded (0 MiB) from 127.0.0.1 at the start" in there.found
    assert not (tmp_path / "cache").exists()


def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    found = look(tmp_path, base_url=f"http://127.0.0.1:{port}")
    assert found.status is Status.FAIL
    assert "cannot be reached" in found.remedy
