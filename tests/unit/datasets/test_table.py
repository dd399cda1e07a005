"""CSV files of images, as spreadsheets and programs write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from worker.datasets.findings import Kind
from worker.datasets.reading import Contents, Root
from worker.datasets.table import is_table, read_table
from worker.errors import DatasetError

Make = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def read(make: Make) -> Callable[..., Contents]:
    def write_and_read(text: str, *, within: bool = False) -> Contents:
        return read_table(Root(make({"data.csv": text}), within), "data.csv")

    return write_and_read


def rows(contents: Contents) -> list[tuple[str, str, str | None]]:
    return [(item.name, item.label, item.split) for item in contents.items]


def test_paths_and_labels(read: Callable[..., Contents], make: Make) -> None:
    contents = read("path,label\nb/a b.jpg,dog\n/elsewhere/c.jpg,cat\n")
    assert rows(contents) == [("b/a b.jpg", "dog", None), ("/elsewhere/c.jpg", "cat", None)]
    assert [item.path for item in contents.items] == [
        make({}) / "b" / "a b.jpg",
        Path("/elsewhere/c.jpg"),
    ]
    assert contents.labels == ["cat", "dog"]
    assert contents.findings == []


def test_splits_in_any_order_of_columns_with_others_beside_them(
    read: Callable[..., Contents],
) -> None:
    contents = read('\ufeff"Split","Label",size,"Path"\r\ntrain,x,1,a.jpg\r\n,y,2,b.jpg\r\n')
    assert rows(contents) == [("a.jpg", "x", "train"), ("b.jpg", "y", None)]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(read: Callable[..., Contents], delimiter: str) -> None:
    text = "path,label,split\na.jpg,x,valid\n".replace(",", delimiter)
    assert rows(read(text)) == [("a.jpg", "x", "val")]


def test_values_between_quotes(read: Callable[..., Contents]) -> None:
    contents = read('path,label\n"a, b.jpg","tabby, ""tabby"" cat"\n')
    assert rows(contents) == [("a, b.jpg", 'tabby, "tabby" cat', None)]


def test_rows_that_are_not_right_are_named_by_their_line(read: Callable[..., Contents]) -> None:
    contents = read(
        'path,label,split\na.jpg,x\n\n"b\n.jpg",x,train\nc.jpg,x,y,train\n,x,\nd.jpg,,\n'
        "e.jpg,x,later\nf.jpg,x,test\n"
    )
    assert rows(contents) == [("b\n.jpg", "x", "train"), ("f.jpg", "x", "test")]
    lines = (2, 6, 7, 8, 9)
    assert [(each.where, each.kind) for each in contents.findings] == [
        (f"data.csv:{line}", Kind.BAD_LINE) for line in lines
    ]


def test_labels_that_are_numbers_are_in_the_order_of_numbers(read: Callable[..., Contents]) -> None:
    text = "path,label\n" + "".join(f"{number}.jpg,{number}\n" for number in (10, 9, 1))
    assert read(text).labels == ["1", "9", "10"]


@pytest.mark.parametrize("text", ["", "a.jpg,cat\n", "file,class\n", "paths,labels\n"])
def test_a_file_without_the_names_of_its_columns_is_none(make: Make, text: str) -> None:
    root = make({"data.csv": text})
    assert not is_table(root / "data.csv")
    with pytest.raises(DatasetError, match="is to begin with the line 'path,label'"):
        read_table(Root(root), "data.csv")


def test_what_is_no_csv_file(read: Callable[..., Contents], make: Make) -> None:
    with pytest.raises(DatasetError, match=r"data.csv:2 is damaged, or this is no CSV file"):
        read('path,label\n"a.jpg" and,x\n')
    with pytest.raises(DatasetError, match=r"data.csv:3 is damaged, .* quote that is not closed"):
        read('path,label\na.jpg,x\n"b.jpg,y\nc.jpg,x\n')
    root = make({"data.csv": "path,label\n"})
    with (root / "data.csv").open("ab") as file:
        file.write("\u00fc.jpg,x\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"data.csv is no text in UTF-8 .* save it as UTF-8"):
        read_table(Root(root), "data.csv")


def test_an_archives_table_may_not_lead_out_of_it(read: Callable[..., Contents]) -> None:
    with pytest.raises(DatasetError, match=r"data.csv:3 is refused: .* leads out of the archive"):
        read("path,label\na.jpg,x\n/etc/passwd,x\n", within=True)
