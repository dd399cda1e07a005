"""Data sets looked at by real image processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.images import colour_png, noise_jpeg
from worker.datasets import Kind, digest, open_dataset
from worker.datasets.check import Checked, check
from worker.settings import DecodeSettings

DEADLY = "ff0102"

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes files below a directory, and returns that; twelve good images are there already."""

    def write(**files: bytes) -> Path:
        root = tmp_path / "animals"
        good = {
            f"{label}/a {number}.jpg": noise_jpeg(10 * len(label) + number)
            for label in ("cat", "dogs")
            for number in range(6)
        }
        for name, content in {**good, **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root

    return write


def looked_at(root: Path, on_file: Callable[[], object] = lambda: None, **settings: int) -> Checked:
    with open_dataset(root, strict=False) as dataset:
        checked = check(dataset, DecodeSettings(processes=2, **settings), on_file)
        assert checked.digest == digest(dataset)
    return checked


def wrong(checked: Checked) -> dict[str, Kind]:
    return {each.where: each.kind for each in checked.findings if each.kind.wrong}


def test_every_image_is_decoded_and_each_that_cannot_be_is_named(make: Make) -> None:
    cut = noise_jpeg(1)[:-400]
    root = make(
        **{
            "cat/text.jpg": b"this is no image",
            "cat/empty.png": b"",
            "cat/cut.jpg": cut,
            "cat/no suffix": noise_jpeg(2),
            "cat/readme.txt": b"hello",
            "dogs/Thumbs.db": b"x",
            "dogs/large.png": colour_png("#000000"),
            "none/.keep": b"",
        }
    )
    (root / "dogs" / "gone.jpg").symlink_to("nowhere")
    looked: list[None] = []
    checked = looked_at(root, lambda: looked.append(None), max_pixels=64 * 48)
    assert len(looked) == len(checked.dataset.items) == 18
    names = ("cat/text.jpg", "cat/empty.png", "cat/cut.jpg", "dogs/large.png", "dogs/gone.jpg")
    assert wrong(checked) == {**dict.fromkeys(names, Kind.UNREADABLE), "none": Kind.EMPTY_CLASS}
    assert not checked.usable
    assert [(each.usable, each.unreadable) for each in checked.classes] == [(7, 3), (6, 2), (0, 0)]
    assert [each.where for each in checked.findings if not each.kind.wrong] == ["cat/readme.txt"]


def test_a_data_set_with_nothing_wrong(make: Make) -> None:
    checked = looked_at(make())
    assert checked.usable
    assert checked.findings == []
    assert [each.usable for each in checked.classes] == [6, 6]


def test_an_image_that_ends_its_process_costs_itself(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_FAILPOINTS", f"decode.segv={DEADLY}")
    checked = looked_at(make(**{"cat/deadly.png": colour_png(f"#{DEADLY}")}))
    assert wrong(checked) == {"cat/deadly.png": Kind.UNREADABLE}
    (finding,) = checked.findings
    assert "crashes the decoder" in finding.message
    assert [(each.usable, each.unreadable) for each in checked.classes] == [(6, 1), (6, 0)]


def test_a_path_that_is_relative_to_the_directory_of_the_command(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make().parent)
    assert looked_at(Path("animals")).usable


def test_what_is_no_file_holds_nothing_up(make: Make) -> None:
    root = make()
    os.mkfifo(root / "pipe.jpg")
    names = "".join(f"cat/a {number}.jpg,cat\n" for number in range(6))
    (root / "data.csv").write_text(f"path,label\n{names}pipe.jpg,dog\ncat,dog\nno\0file,dog\n")
    checked = looked_at(root / "data.csv", timeout=600)
    unreadable = [each for each in checked.findings if each.kind is Kind.UNREADABLE]
    # What Python calls a null character in a path depends on its version.
    assert {each.where: each.message.partition(":")[0] for each in unreadable} == {
        "pipe.jpg": "it is no plain file",
        "cat": "it is no plain file",
        "no\0file": "no file can have this name",
    }
