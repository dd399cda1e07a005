"""What is remembered of calibrations, and which model and machine a record is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from worker.device import CPU
from worker.inference.calibration_cache import CalibrationCache, CalibrationRecord
from worker.inference.placement import Placement
from worker.inference.selection_cache import MEASUREMENTS
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.settings import BatchingSettings

RECORD = CalibrationRecord(8, 4, solo=True, taken=0.05)


def cache(
    directory: Path,
    digest: str = "sha256:1",
    threads: int = 1,
    cores: int = 2,
    limit: int = 32,
    *,
    lends_cores: bool = True,
    kernels: Kernels = PLAIN_KERNELS,
) -> CalibrationCache:
    placements = [Placement(CPU, threads)] * 2
    batching = BatchingSettings(calibration_limit=limit)
    return CalibrationCache(
        directory, digest, placements, cores, batching, lends_cores=lends_cores, kernels=kernels
    )


def test_a_record_holds_for_its_model_layout_settings_and_backend_alone(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    cache(directory).write("paddle", RECORD)
    assert cache(directory).read("paddle") == RECORD
    unasked = replace(RECORD, solo=None)
    cache(directory).write("openvino", unasked)
    assert cache(directory).read("openvino") == unasked
    assert cache(directory).read("onnxruntime") is None
    for other in (
        cache(directory, digest="sha256:2"),
        cache(directory, threads=2),
        cache(directory, cores=4),
        cache(directory, limit=16),
        cache(directory, lends_cores=False),
        cache(directory, kernels=Kernels("bf16")),
    ):
        assert other.read("paddle") is None


def test_another_version_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "worker.inference.calibration_cache"
    monkeypatch.setattr(f"{module}.package_version", lambda _: "1")
    cache(tmp_path).write("paddle", RECORD)
    assert cache(tmp_path).read("paddle") == RECORD
    monkeypatch.setattr(f"{module}.package_version", lambda _: "2")
    assert cache(tmp_path).read("paddle") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"max_batch": 8, "solo": true, "taken": 0, "measurements": 1}',
        '{"max_batch": 8, "part": 0, "solo": true, "taken": 0, "measurements": 1}',
        '{"max_batch": 8, "part": 16, "solo": true, "taken": 0, "measurements": 1}',
        '{"max_batch": 0, "part": 1, "solo": true, "taken": 0, "measurements": 1}',
        '{"max_batch": 64, "part": 1, "solo": true, "taken": 0, "measurements": 1}',
        '{"max_batch": "many", "part": 1, "solo": true, "taken": 0, "measurements": 1}',
        '{"max_batch": 1e999, "part": 1, "solo": true, "taken": 0, "measurements": 1}',
    ],
)
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    cache(tmp_path).write("paddle", RECORD)
    (path,) = tmp_path.iterdir()
    path.write_text(content, "utf-8")
    assert cache(tmp_path).read("paddle") is None


def test_a_directory_that_cannot_be_written_costs_the_record_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unwritable = cache(tmp_path / "file" / "calibration")
    unwritable.write("paddle", RECORD)
    assert unwritable.read("paddle") is None


def test_what_was_disturbed_is_measured_again_a_few_times() -> None:
    record = CalibrationRecord(2, 1, solo=False, taken=0.6)
    assert RECORD.settled
    for number in range(2, MEASUREMENTS + 1):
        assert not record.settled
        record = record.measured_again(CalibrationRecord(4, 2, solo=True, taken=0.4))
        assert record == CalibrationRecord(4, 2, True, 0.4, number), (
            "the least disturbed one counts"
        )
    assert record.settled
    assert record.measured_again(CalibrationRecord(1, 1, False, 0.9)).max_batch == 4


@pytest.mark.parametrize("first", [True, False])
def test_all_cores_that_paid_in_one_start_pay(first: bool) -> None:
    record = CalibrationRecord(2, 1, solo=first, taken=0.6)
    record = record.measured_again(CalibrationRecord(4, 2, solo=not first, taken=0.4))
    assert record == CalibrationRecord(4, 2, True, 0.4, 2)
    record = record.measured_again(CalibrationRecord(8, 4, solo=False, taken=0.0))
    assert record == CalibrationRecord(8, 4, True, 0.0, 3)


def test_that_all_cores_do_not_pay_takes_several_starts() -> None:
    record = undisturbed = CalibrationRecord(8, 4, solo=False, taken=0.0)
    for _ in range(2, MEASUREMENTS + 1):
        assert not record.settled
        record = record.measured_again(undisturbed)
    assert record.settled
    assert record.solo is False
    assert replace(undisturbed, solo=None).settled, "it was not asked"
