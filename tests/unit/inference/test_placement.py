"""Slots for device strings and cores; cores under a container's quota."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.device import CPU, Device
from worker.inference.placement import MOST_CPU_SLOTS, Placement, available_cores, place


def cpu(slots: int, threads: int) -> list[Placement]:
    return [Placement(CPU, threads)] * slots


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
    assert place(CPU, slots, threads, cores) == expected


@given(st.integers(1, 512))
def test_most_cores_work_and_none_twice(cores: int) -> None:
    placements = place(CPU, 0, 0, cores)
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
    placements = place(Device.parse(device), slots, 0, cores=8)
    assert [str(placement.device) for placement in placements] == expected
    assert {placement.threads for placement in placements} == {1}


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where control groups are, on a machine of six cores; there are none yet."""
    monkeypatch.setattr("worker.runtime.cgroups.CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("worker.runtime.cgroups.MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)))
    return tmp_path / "cgroup"


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 6),
        ("200000 100000\n", 2),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("900000 100000\n", 6),
        ("100000 0\n", 6),
        ("garbage", 6),
        ("", 6),
    ],
)
def test_cores_are_those_of_the_container(groups: Path, text: str, cores: int) -> None:
    write(groups, cpu__max=text)
    assert available_cores() == cores


@pytest.mark.parametrize("controller", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        ("-1\n", "100000\n", 6),
        ("200000\n", "100000\n", 2),
        ("125000\n", "50000\n", 2),
        ("50000\n", "100000\n", 1),
        ("900000\n", "100000\n", 6),
        ("200000\n", "0\n", 6),
        ("200000\n", "garbage", 6),
        ("", "", 6),
    ],
)
def test_cores_are_those_of_the_container_in_version_1_too(
    groups: Path, controller: str, quota: str, period: str, cores: int
) -> None:
    write(groups / controller, cpu__cfs_quota_us=quota, cpu__cfs_period_us=period)
    assert available_cores() == cores


def test_a_version_1_quota_without_its_period_is_none(groups: Path) -> None:
    write(groups / "cpu", cpu__cfs_quota_us="200000\n")
    assert available_cores() == 6


@pytest.mark.parametrize(
    ("membership", "directory"),
    [
        ("0::/system.slice/classify.service\n", ""),
        ("1:name=systemd:/x\n4:cpu,cpuacct:/system.slice/classify.service\n", "cpu,cpuacct"),
        ("4:cpuacct,cpu:/system.slice/classify.service\n0::/init\n", "cpu"),
    ],
)
def test_the_tightest_group_on_the_way_down_decides(
    groups: Path, membership: str, directory: str
) -> None:
    (groups.parent / "membership").write_text(membership)
    root = groups / directory
    slice_ = root / "system.slice"
    if directory:
        write(slice_, cpu__cfs_quota_us="300000\n", cpu__cfs_period_us="100000\n")
        write(slice_ / "classify.service", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    else:
        write(slice_, cpu__max="300000 100000\n")
        write(slice_ / "classify.service", cpu__max="max 100000\n")
    assert available_cores() == 3
    if directory:
        write(slice_ / "classify.service", cpu__cfs_quota_us="200000")
    else:
        write(slice_ / "classify.service", cpu__max="200000 100000\n")
    assert available_cores() == 2


@pytest.mark.parametrize(
    "membership", ["0::/docker/0123abcd\n", "4:memory:/a\n", "no group\n", "\xff:\x00", ""]
)
def test_what_is_not_there_has_no_say(groups: Path, membership: str) -> None:
    (groups.parent / "membership").write_text(membership)
    write(groups / "a", cpu__max="100000 100000\n")
    assert available_cores() == 6
    write(groups, cpu__max="200000 100000\n")
    assert available_cores() == 2


def test_without_a_quota_the_affinity_mask_decides(
    monkeypatch: pytest.MonkeyPatch, groups: Path
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3})
    assert available_cores() == 1
