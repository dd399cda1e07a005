"""Slots for device strings and cores; cores under a container's quota."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import SettingsError
from worker.inference.placement import MOST_CPU_SLOTS, Placement, available_cores, place


def cpu(slots: int, threads: int) -> list[Placement]:
    return [Placement("cpu", threads)] * slots


@pytest.mark.parametrize(
    ("slots", "threads", "cores", "expected"),
    [
        (0, 0, 1, cpu(1, 1)),
        (0, 0, 2, cpu(2, 1)),
        (0, 0, 8, cpu(8, 1)),
        (0, 0, 12, cpu(6, 2)),
        (0, 0, 16, cpu(8, 2)),
        (0, 0, 64, cpu(8, 8)),
        (0, 4, 8, cpu(2, 4)),
        (0, 4, 2, cpu(1, 4)),
        (2, 0, 8, cpu(2, 4)),
        (3, 0, 2, cpu(3, 1)),
        (2, 3, 1, cpu(2, 3)),
    ],
)
def test_cores_are_shared_out(
    slots: int, threads: int, cores: int, expected: list[Placement]
) -> None:
    assert place("cpu", slots, threads, cores) == expected


@given(st.integers(1, 512))
def test_most_cores_work_and_none_twice(cores: int) -> None:
    placements = place("cpu", 0, 0, cores)
    used = sum(placement.threads for placement in placements)
    assert 1 <= len(placements) <= MOST_CPU_SLOTS
    assert used <= cores
    assert used >= 0.75 * cores


@pytest.mark.parametrize(
    ("device", "slots", "expected"),
    [
        ("gpu", 0, ["gpu:0"]),
        ("gpu:3", 0, ["gpu:3"]),
        ("GPU:3", 0, ["gpu:3"]),
        ("gpu:0,2", 0, ["gpu:0", "gpu:2"]),
        ("gpu:0,2", 3, ["gpu:0", "gpu:2", "gpu:0"]),
        ("npu:1", 0, ["npu:1"]),
        ("xpu:0", 0, ["xpu:0"]),
        ("mlu:0,1", 0, ["mlu:0", "mlu:1"]),
    ],
)
def test_one_slot_for_each_listed_device(device: str, slots: int, expected: list[str]) -> None:
    placements = place(device, slots, 0, cores=8)
    assert [placement.device for placement in placements] == expected
    assert {placement.threads for placement in placements} == {1}


@pytest.mark.parametrize(
    "device",
    ["", "cpu:0", "gpu:", "gpu:a", "gpu:0,", "gpu:-1", "tpu:0", "gpu:0 ", "gpu\n"],
)
def test_a_malformed_device_is_refused_with_examples(device: str) -> None:
    with pytest.raises(SettingsError, match=r"is not known: use cpu, gpu:0"):
        place(device, 0, 0, cores=8)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 6),
        ("200000 100000\n", 2),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("900000 100000\n", 6),
        ("garbage", 6),
        ("", 6),
    ],
)
def test_cores_are_those_of_the_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, cores: int
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    monkeypatch.setattr("worker.inference.placement.QUOTA_FILE", quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)))
    assert available_cores() == cores


def test_without_a_quota_the_affinity_mask_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("worker.inference.placement.QUOTA_FILE", tmp_path / "missing")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3})
    assert available_cores() == 1
