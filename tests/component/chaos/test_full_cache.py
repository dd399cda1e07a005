"""The cache that cannot be written, with and without the right to mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.full_cache import full_cache


def assert_nothing_can_be_written(cache: Path) -> None:
    with pytest.raises(OSError, match=r"No space left|Not a directory"):
        (cache / "file").write_bytes(bytes(100_000))


def test_nothing_can_be_written(tmp_path: Path) -> None:
    with full_cache(tmp_path / "cache") as (cache, _):
        assert_nothing_can_be_written(cache)
    # Nothing is left mounted.
    (tmp_path / "cache" / "file").write_bytes(bytes(100_000))


def test_nothing_can_be_written_where_nothing_can_be_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with full_cache(tmp_path / "cache") as (cache, what):
        assert "nothing can be mounted" in what
        assert_nothing_can_be_written(cache)
