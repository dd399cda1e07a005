"""Scratch directories: gone with their block, and those of killed processes with the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.runtime.scratch import PREFIX, remove_all, scratch_directory


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_it_is_gone_with_its_block(parent: Path) -> None:
    def fill() -> None:
        with scratch_directory() as path:
            assert path.parent == parent
            (path / "a").mkdir()
            (path / "a" / "b").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert list(parent.iterdir()) == []


def test_one_that_is_held_is_left_alone_and_one_that_nobody_holds_is_removed(parent: Path) -> None:
    abandoned, other = parent / f"{PREFIX}x", parent / "classify-worker-demo"
    for each in (abandoned, other):
        each.mkdir()
        (each / "file").write_text("x")
    with scratch_directory() as first, scratch_directory() as second:
        assert sorted(parent.iterdir()) == sorted([first, second, other])


def test_a_link_in_its_place_is_not_followed(parent: Path) -> None:
    (parent / "mine").mkdir()
    (parent / f"{PREFIX}x").symlink_to(parent / "mine")
    with scratch_directory():
        assert (parent / "mine").is_dir()


def test_a_process_that_ends_at_once_removes_its_own(parent: Path) -> None:
    with scratch_directory() as path:
        (path / "file").write_text("x")
        remove_all()
        assert list(parent.iterdir()) == []
