"""Which layout a data set is in, and what is said of one that is in none."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from worker.datasets import open_dataset
from worker.datasets.findings import Kind
from worker.errors import DatasetError

Make = Callable[[Mapping[str, str]], Path]

FOLDERS = {"cats/1.jpg": "a", "dogs/1.jpg": "b"}
SPLIT = {"train/cats/1.jpg": "a", "train/dogs/1.jpg": "b", "val/cats/2.jpg": "c"}
LISTS = {
    "label.txt": "0 cats\n1 dogs\n",
    "train.txt": "images/1.jpg 0\nimages/2.jpg 1\n",
    "images/1.jpg": "a",
    "images/2.jpg": "b",
}
TABLE = {"data.csv": "path,label\nx/1.jpg,cats\nx/2.jpg,dogs\n", "x/1.jpg": "a", "x/2.jpg": "b"}
LAYOUTS = {
    "class folders": FOLDERS,
    "split class folders": SPLIT,
    "PaddleX's lists": LISTS,
    "CSV file": TABLE,
}


def pack(root: Path, prefix: str = "") -> Path:
    path = root.parent / "data.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for each in root.rglob("*"):
            opened.write(each, f"{prefix}{each.relative_to(root).as_posix()}")
    return path


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["", "wrapped"])
def test_a_directory_in_each_layout(make: Make, layout: str, wrapped: bool) -> None:
    prefix = "flowers/" if wrapped else ""
    root = make({f"{prefix}{name}": text for name, text in LAYOUTS[layout].items()})
    before = state(root)
    with open_dataset(root) as dataset:
        assert (dataset.layout, dataset.source) == (layout, str(root))
        assert dataset.labels == ("cats", "dogs")
        assert {item.path.read_text() for item in dataset.items} >= {"a", "b"}
    assert state(root) == before


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("prefix", ["", "flowers/"])
def test_a_zip_file_of_each_layout(
    make: Make, layout: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = pack(make(LAYOUTS[layout]), prefix)
    with open_dataset(path) as dataset:
        assert dataset.layout == f"ZIP file of {layout}"
        assert dataset.labels == ("cats", "dogs")
        assert {item.path.read_text() for item in dataset.items} >= {"a", "b"}
        assert all(item.path.is_relative_to(scratch) for item in dataset.items)
    assert list(scratch.iterdir()) == []


def test_a_csv_file_by_its_name(make: Make) -> None:
    root = make(TABLE)
    make({"other.csv": "path,label,split\nx/1.jpg,owls,test\n"})
    with open_dataset(root / "other.csv") as dataset:
        assert (dataset.layout, dataset.labels, dataset.is_split) == ("CSV file", ("owls",), True)
        assert dataset.of("test") == dataset.items
    with pytest.raises(DatasetError, match=r"name one of data.csv, other.csv"), open_dataset(root):
        pass


def test_a_table_of_something_else_beside_class_folders(make: Make) -> None:
    with open_dataset(make({**FOLDERS, "licences.csv": "image,author\n"})) as dataset:
        assert dataset.layout == "class folders"


def test_a_class_may_be_called_like_a_split(make: Make) -> None:
    files = {f"{name}/1.jpg": name for name in ("car", "plane", "train", "test")}
    with open_dataset(make(files)) as dataset:
        assert (dataset.layout, dataset.is_split) == ("class folders", False)
        assert dataset.labels == ("car", "plane", "test", "train")


def test_splits_without_classes_are_no_classes(make: Make) -> None:
    files = {"train/1.jpg": "a", "val/2.jpg": "b"}
    with pytest.raises(DatasetError, match="holds no labelled image"), open_dataset(make(files)):
        pass


def test_a_class_that_no_model_could_answer_with_is_named(make: Make) -> None:
    root = make({"cats/1.jpg": "a", "two\nlines/1.jpg": "b"})
    not_utf8 = Path(os.fsdecode(os.fsencode(root) + b"/\xff"))
    not_utf8.mkdir()
    (not_utf8 / "1.jpg").write_bytes(b"")
    with open_dataset(root, strict=False) as dataset:
        wrong = {each.where for each in dataset.findings if each.kind is Kind.BAD_LABEL}
    assert wrong == {"two\nlines", "\udcff"}
    with pytest.raises(DatasetError, match=r"U\+000A: rename the class"), open_dataset(root):
        pass


def test_one_folder_of_images_is_a_class(make: Make) -> None:
    with open_dataset(make({"cats/1.jpg": ""})) as dataset:
        assert dataset.labels == ("cats",)


def test_paths_may_have_a_tilde(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(make(FOLDERS).parent))
    with open_dataset("~/data") as dataset:
        assert dataset.source == "~/data"
        assert len(dataset.items) == 2


def test_the_folder_of_one_class_is_recognised(make: Make) -> None:
    root = make({"grass/1.jpg": "a", "grass/2.png": "b", "grass/readme.txt": "", "sky/1.jpg": "c"})
    said = (
        f"but 2 images lie in it directly: if it is the folder of a class, give its parent, {root}"
    )
    with pytest.raises(DatasetError, match=re.escape(said)), open_dataset(root / "grass"):
        pass


@pytest.mark.parametrize(
    "files", [{}, {"readme.txt": ""}, {"1.jpg": ""}, {"cats/readme.txt": ""}], ids=str
)
def test_a_directory_without_labelled_images_says_what_is_accepted(
    make: Make, files: dict[str, str]
) -> None:
    for strict in (True, False):
        with (
            pytest.raises(DatasetError, match=r"(?s)no labelled image.*DIR/CLASS.*csv.*zip"),
            open_dataset(make(files), strict=strict),
        ):
            pass


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere", "does not exist"),
        ("data/cats/1.jpg", r"(?s)is neither a directory nor a .csv or .zip file.*DIR/CLASS"),
        ("data/train.txt", "name the directory that the list is in"),
        ("data/a.csv", "is to begin with the line 'path,label'"),
        ("data/a.zip", "a.zip is damaged or no ZIP file"),
        ("a\0b", "does not exist|null"),
        ("a" * 5000, "name too long"),
    ],
)
def test_what_is_no_data_set(make: Make, tmp_path: Path, name: str, why: str) -> None:
    make({**FOLDERS, "train.txt": "", "a.csv": "a.jpg,cat\n", "a.zip": "no"})
    with pytest.raises(DatasetError, match=f"(?i){why}"), open_dataset(tmp_path / name):
        pass


def test_a_wrong_layout_is_refused_unless_it_is_to_be_checked(make: Make) -> None:
    root = make({**LISTS, "val.txt": "".join(f"{number}.jpg 7\n" for number in range(9))})
    with (
        pytest.raises(DatasetError, match=r"(?s)corrected first.*val.txt:5: .*and 4 more.*check"),
        open_dataset(root),
    ):
        pass
    with open_dataset(root, strict=False) as dataset:
        assert len(dataset.findings) == 9
        assert len(dataset.items) == 2


def test_an_archive_whose_list_leads_out_of_it_is_refused(make: Make) -> None:
    path = pack(make({**LISTS, "train.txt": "../../etc/passwd 0\n"}))
    for strict in (True, False):
        with (
            pytest.raises(DatasetError, match=r"train.txt:1 is refused"),
            open_dataset(path, strict=strict),
        ):
            pass


def test_no_name_is_not_the_current_directory() -> None:
    with pytest.raises(DatasetError, match="no name"), open_dataset(""):
        pytest.fail("it was opened")
