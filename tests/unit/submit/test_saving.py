"""Where the pictures of results go, and the one result for which a file was named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from worker.client import Classification
from worker.contract.jobs import Category
from worker.errors import SettingsError, WorkerError
from worker.submit.items import Encoding, Item
from worker.submit.saving import DirectorySaver, FileSaver, make_saver, single_item

JPEG = b"\xff\xd8 a picture"
RESULT = Classification((Category(282, "tiger cat", 0.38878),), JPEG, "job")
WITHOUT_PICTURE = Classification(RESULT.categories, None, "job")


def item(number: int) -> Item:
    return Item(f"{number}.jpg", Path(f"{number}.jpg"), Encoding.BASE64)


def test_pictures_of_equal_names_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    saver = make_saver(str(tmp_path / "out"))
    saved = [saver.save(n, name, RESULT) for n, name in ((1, "a/cat.png"), (2, "b/cat.jpg"))]
    assert saved == [tmp_path / "out" / "0001-cat.jpg", tmp_path / "out" / "0002-cat.jpg"]
    assert (tmp_path / "out" / "0002-cat.jpg").read_bytes() == JPEG
    assert saver.save(3, "c.jpg", WITHOUT_PICTURE) is None


@pytest.mark.parametrize("name", ["out", "out.d/", "there.v1", "new/out", "out.json/", "out.jpg/"])
def test_directories(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.v1").mkdir()
    assert make_saver(f"{tmp_path}/{name}") == DirectorySaver(tmp_path / name)


@pytest.mark.parametrize("name", ["out.jpg", "out.JPEG", "new/out.jfif"])
def test_one_picture_is_the_file_that_is_named(tmp_path: Path, name: str) -> None:
    saver = make_saver(str(tmp_path / name))
    assert saver.save(1, "cat.png", WITHOUT_PICTURE) is None
    assert saver.save(1, "cat.png", RESULT) == tmp_path / name
    assert (tmp_path / name).read_bytes() == JPEG


def test_one_result_is_the_json_that_predict_writes(tmp_path: Path) -> None:
    saver = make_saver(str(tmp_path / "out.json"))
    assert saver.save(1, "cat.png", WITHOUT_PICTURE) == tmp_path / "out.json"
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "input_path": "cat.png",
        "page_index": None,
        "class_ids": [282],
        "scores": [0.38878],
        "label_names": ["tiger cat"],
    }


@pytest.mark.parametrize("name", ["out.png", "out.xyz", "run.2024"])
def test_other_suffixes_become_neither(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}/ with a slash; .* .jpg .jpeg .jpe .jfif .js"):
        make_saver(str(tmp_path / name))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cat.jpg", "cat.json"])
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match=rf"file/{name} cannot be written: "):
        FileSaver(tmp_path / "file" / name).save(1, "cat.png", RESULT)


async def test_one_file_is_for_one_item_and_no_more_are_looked_for() -> None:
    looked_for: list[int] = []

    async def found(count: int) -> AsyncIterator[Item]:
        for number in range(count):
            looked_for.append(number)
            yield item(number)

    with pytest.raises(SettingsError, match=r"out\.jpg is a file for one image, and there are sev"):
        await single_item(found(9), Path("out.jpg"))
    assert looked_for == [0, 1]
    assert [each async for each in await single_item(found(1), Path("out.jpg"))] == [item(0)]
    assert [each async for each in await single_item(found(0), Path("out.jpg"))] == []
