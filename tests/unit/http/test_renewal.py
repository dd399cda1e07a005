"""Files are read again when they change, and only then."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from worker.errors import SettingsError
from worker.http.renewal import Renewal


class Reader:
    """Reads one file; what it says when it is empty is an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read: list[str] = []

    def load(self) -> None:
        text = self.path.read_text() if self.path.exists() else ""
        if not text:
            raise SettingsError("it is empty")
        self.read.append(text)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    (tmp_path / "file").write_text("one")
    return Reader(tmp_path / "file")


def test_a_file_is_read_once_until_it_changes(reader: Reader) -> None:
    renewal = Renewal("it", [reader.path, None], reader.load)
    renewal.first()
    renewal.again()
    assert reader.read == ["one"]
    reader.path.write_text("two!")
    renewal.again()
    renewal.again()
    assert reader.read == ["one", "two!"]


def test_a_secret_that_kubernetes_swaps_is_read_again(tmp_path: Path) -> None:
    for version, text in (("..1", "one"), ("..2", "two")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(text)
        os.utime(tmp_path / version / "token", (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    reader = Reader(tmp_path / "token")
    renewal = Renewal("it", [reader.path], reader.load)
    renewal.first()
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    renewal.again()
    assert reader.read == ["one", "two"]


def test_an_error_at_the_start_is_raised_and_later_logged_once(reader: Reader) -> None:
    reader.path.unlink()
    renewal = Renewal("it", [reader.path], reader.load)
    with pytest.raises(SettingsError, match="empty"):
        renewal.first()
    reader.path.write_text("one")
    renewal.again()
    with capture_logs() as logs:
        reader.path.write_text("")
        renewal.again()
        renewal.again()
        reader.path.write_text("three")
        renewal.again()
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("files_not_renewed", "it is empty"),
        ("files_renewed", None),
    ]
    assert reader.read == ["one", "three"]


async def test_it_goes_on_until_it_is_cancelled(reader: Reader) -> None:
    turns: list[float] = []

    async def pause(seconds: float) -> None:
        turns.append(seconds)
        reader.path.write_text("x" * len(turns) * 10)
        if len(turns) == 4:
            raise asyncio.CancelledError

    renewal = Renewal("it", [reader.path], reader.load)
    renewal.first()
    with pytest.raises(asyncio.CancelledError):
        await renewal.run(pause)
    assert [len(text) for text in reader.read] == [3, 10, 20, 30]
    assert turns == [1.0] * 4
