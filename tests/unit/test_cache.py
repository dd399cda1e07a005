"""Files that appear whole, and the lock that processes share."""

from __future__ import annotations

import queue
import shutil
from pathlib import Path

import pytest

from worker.cache import CACHE_VARIABLE, exclusive, watch_disk, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, b"first")
    write_whole(path, b"2")
    assert path.read_bytes() == b"2"
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    plain.unlink()
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, b"first")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_that_is_held_is_not_waited_for_where_that_is_not_wanted(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive(lock), pytest.raises(BlockingIOError), exclusive(lock, wait=False):
        pass
    with exclusive(lock, wait=False):
        pass


def test_the_disk_is_measured_at_once_and_again_although_the_cache_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "not" / "made"))
    reports: queue.Queue[tuple[int, int]] = queue.Queue()
    with watch_disk(lambda free, size: reports.put((free, size)), interval=0.001):
        measured = [reports.get(timeout=30) for _ in range(2)]
    for free, size in measured:
        assert 0 < free <= size == shutil.disk_usage(tmp_path).total
