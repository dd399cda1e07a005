"""Lines from pipes and files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.errors import WorkerError
from worker.submit import lines
from worker.submit.lines import read_lines


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


async def collect(descriptor: int) -> list[bytes]:
    return [line async for line in read_lines(descriptor)]


async def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"one\r\n\n  two \nlast")
    with path.open("rb") as file:
        assert await collect(file.fileno()) == [b"one", b"", b"two", b"last"]


async def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    for text, expected in [
        (b"\xef\xbb\xbfone\r\ntwo\r\n", [b"one", b"two"]),
        (b"\xef\xbb\xbfalone", [b"alone"]),
        (b"\xef\xbb\xbf", []),
        (b"one\n\xef\xbb\xbftwo", [b"one", b"\xef\xbb\xbftwo"]),
    ]:
        path.write_bytes(text)
        with path.open("rb") as file:
            assert await collect(file.fileno()) == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
async def test_utf16_is_refused_with_the_remedy(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list"
    path.write_bytes("\ufeffa.jpg\nb.jpg\n".encode(encoding))
    with path.open("rb") as file, pytest.raises(WorkerError, match="UTF-16: write it as UTF-8"):
        await collect(file.fileno())


async def test_lines_come_as_soon_as_they_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    found = read_lines(reader)
    os.write(writer, b"first\nsec")
    assert await anext(found) == b"first"
    waiting = asyncio.ensure_future(anext(found))
    os.write(writer, b"ond\n")
    assert await waiting == b"second"
    os.close(writer)
    assert [line async for line in found] == []


async def test_waiting_for_a_line_can_be_called_off(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await collect(reader)
    os.close(writer)
    # Nothing watches it any more: it can be read again, to its end.
    assert await collect(reader) == []


async def test_a_line_longer_than_a_chunk(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "_CHUNK", 4)
    reader, writer = pipe
    os.write(writer, b"0123456789\nab")
    os.close(writer)
    assert await collect(reader) == [b"0123456789", b"ab"]


async def test_a_line_without_end_is_refused(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 8)
    reader, writer = pipe
    os.write(writer, b"0123456789")
    with pytest.raises(WorkerError, match="longer than 8 bytes"):
        await collect(reader)
    os.close(writer)
