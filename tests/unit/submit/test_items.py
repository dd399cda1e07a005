"""From what a user names to single items."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.contract.jobs import UrlImage
from worker.errors import JobError, Reason
from worker.submit.items import Encoding, Item, find_items


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


async def found(*sources: str, encoding: Encoding = Encoding.BASE64) -> list[Item]:
    return [item async for item in find_items(sources, encoding)]


async def from_standard_input(text: bytes) -> list[Item]:
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        return await found("-", encoding=Encoding.RAW)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reader)


async def test_files_directories_and_patterns(directory: Path) -> None:
    a, b = directory / "a.jpg", directory / "b.png"
    items = await found(str(a), str(directory), str(directory / "*.png"), encoding=Encoding.URL)
    assert items == [Item(str(path), path, Encoding.URL) for path in (a, a, b, b)]


async def test_a_url_is_sent_as_one_and_named_without_its_query() -> None:
    url = "https://example.org/cat.jpg?signature=secret"
    assert await found(url) == [Item("https://example.org/cat.jpg", UrlImage(url), Encoding.URL)]


async def test_a_pattern_without_files_costs_only_itself(directory: Path) -> None:
    pattern = str(directory / "*.bmp")
    unusable, good = await found(pattern, str(directory / "a.jpg"))
    assert isinstance(unusable.content, JobError)
    assert good.content == directory / "a.jpg"


async def test_an_empty_source_is_not_the_current_directory() -> None:
    (item,) = await found("")
    assert item.name == "''"
    assert isinstance(item.content, JobError)


async def test_standard_input(directory: Path) -> None:
    path = directory / "a.jpg"
    text = f'{path}\n\n{{"image": "x", "jobId": "j"}}\nhttp://h/i\n{{"image": "y"}}\n{{bad'
    items = await from_standard_input(text.encode())
    assert items[:4] == [
        Item(str(path), path, Encoding.RAW),
        Item("j", {"image": "x", "jobId": "j"}, Encoding.JSON),
        Item("http://h/i", UrlImage("http://h/i"), Encoding.URL),
        Item("line 5", {"image": "y"}, Encoding.JSON),
    ]
    wrong = items[4].content
    assert items[4].name == "line 6"
    assert isinstance(wrong, JobError)
    assert wrong.reason is Reason.NOT_JSON


async def test_a_line_of_base64_is_not_repeated() -> None:
    (item,) = await from_standard_input(b"\xef\xbb\xbf" + b"iVBORw0KGgo" * 400)
    assert item.name == "iVBORw0KGgo" * 3 + "iVBORw0…"
    assert isinstance(item.content, JobError)
    assert 'submitted as a line {"image": "..."}' in item.content.message
    (item,) = await from_standard_input(b"http://h/" + b"iVBORw0KGgo" * 400)
    assert item.name == "http://h/iVBORw0KGgoiVBORw0KGgoiVBORw0KG…"
