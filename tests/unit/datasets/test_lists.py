"""PaddleX's lists, right and wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from worker.datasets.findings import Kind
from worker.datasets.lists import has_lists, read_lists
from worker.datasets.reading import Contents, Root
from worker.errors import DatasetError

Make = Callable[[Mapping[str, str]], Path]

LABELS = "0 tabby, tabby cat\n1 dog\n"


@pytest.fixture
def read(make: Make) -> Callable[..., Contents]:
    def write_and_read(labels: str = LABELS, *, within: bool = False, **lists: str) -> Contents:
        files = {f"{name}.txt": text for name, text in {"label": labels, **lists}.items()}
        return read_lists(Root(make(files), within))

    return write_and_read


def wrong(contents: Contents) -> list[tuple[str, Kind]]:
    return [(finding.where, finding.kind) for finding in contents.findings]


def test_lists_and_labels(read: Callable[..., Contents]) -> None:
    contents = read(train="images/a.jpg 0\nimages/b.jpg 1\n", val="c.jpg 0", test="d.jpg\t1\r\n\n")
    assert contents.labels == ["tabby, tabby cat", "dog"]
    assert [(item.name, item.label, item.split) for item in contents.items] == [
        ("images/a.jpg", "tabby, tabby cat", "train"),
        ("images/b.jpg", "dog", "train"),
        ("c.jpg", "tabby, tabby cat", "val"),
        ("d.jpg", "dog", "test"),
    ]
    assert contents.findings == []


def test_a_line_is_split_at_its_last_space(read: Callable[..., Contents], make: Make) -> None:
    contents = read(train="images/my cat 1 (2).jpg 0\n1.jpg 1\n")
    assert [item.name for item in contents.items] == ["images/my cat 1 (2).jpg", "1.jpg"]
    assert contents.items[0].path == make({}) / "images" / "my cat 1 (2).jpg"


def test_a_byte_order_mark_and_separators_of_other_systems(
    read: Callable[..., Contents], make: Make
) -> None:
    root = make({"images/a.jpg": "x"})
    contents = read("\ufeff0 cat\r\n1 dog\r\n", train="\ufeffimages\\a.jpg 0\r\n")
    assert contents.labels == ["cat", "dog"]
    assert [item.path for item in contents.items] == [root / "images" / "a.jpg"]


def test_signs_that_unicode_breaks_lines_at_stay_in_names(read: Callable[..., Contents]) -> None:
    contents = read(train="a\u2028b\x0bc.jpg 0\n")
    assert [item.name for item in contents.items] == ["a\u2028b\x0bc.jpg"]


def test_lines_that_are_no_image_and_its_id(read: Callable[..., Contents]) -> None:
    contents = read(train="a.jpg\na.jpg cat\na.jpg -1\n7\nb.jpg 0\na.jpg \u0661\n")
    assert [item.name for item in contents.items] == ["b.jpg"]
    lines = (1, 2, 3, 4, 6)
    assert wrong(contents) == [(f"train.txt:{line}", Kind.BAD_LINE) for line in lines]


def test_ids_outside_of_label_txt(read: Callable[..., Contents]) -> None:
    contents = read(train="a.jpg 0\n\nb.jpg 2\n", val="c.jpg 99\n")
    assert wrong(contents) == [("train.txt:3", Kind.UNKNOWN_ID), ("val.txt:1", Kind.UNKNOWN_ID)]
    assert "2" in contents.findings[0].message
    assert [item.name for item in contents.items] == ["a.jpg"]


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        ("0 cat\n2 dog\n", ": 1 is missing"),
        ("1 cat\n2 dog\n", ": 0 is missing"),
        ("0 cat\n5 dog\n3 owl", ": 1, 2, 4 are missing"),
        ("0 cat\n999999999 dog\n", ", 9, 10 and more are missing"),
    ],
)
def test_ids_with_gaps(read: Callable[..., Contents], labels: str, missing: str) -> None:
    contents = read(labels, train="a.jpg 0\n")
    (finding,) = (each for each in contents.findings if each.kind is Kind.ID_GAP)
    assert finding.message.endswith(missing)


def test_classes_are_in_the_order_of_their_ids(read: Callable[..., Contents]) -> None:
    assert read("1 dog\n0 cat\n2 ant\n", train="a.jpg 0").labels == ["cat", "dog", "ant"]


def test_lines_of_label_txt_that_are_not_right(read: Callable[..., Contents]) -> None:
    contents = read("0 cat\ndog\n0 owl\n1 cat\n1 ant\n2\n", train="a.jpg 1")
    assert contents.labels == ["cat", "ant"]
    assert wrong(contents) == [
        ("label.txt:2", Kind.BAD_LINE),
        ("label.txt:3", Kind.REPEATED_LABEL),
        ("label.txt:4", Kind.REPEATED_LABEL),
        ("label.txt:6", Kind.BAD_LINE),
    ]


def test_a_file_that_is_missing_is_named(make: Make) -> None:
    root = make({"train.txt": "a.jpg 0\n"})
    assert has_lists(root)
    with pytest.raises(DatasetError, match=r"train.txt, but no label.txt: write one"):
        read_lists(Root(root))
    (root / "train.txt").rename(root / "label.txt")
    assert has_lists(root)
    with pytest.raises(DatasetError, match=r"label.txt, but none of train.txt, val.txt, test.txt"):
        read_lists(Root(root))


def test_a_list_that_is_no_utf8(make: Make) -> None:
    root = make({"label.txt": "0 cat\n"})
    (root / "train.txt").write_bytes("a.jpg 0\n\u00fc.jpg 0\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"train.txt is no text in UTF-8 .* save it as UTF-8"):
        read_lists(Root(root))


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "C:\\a.jpg", "..\\a"])
def test_an_archives_list_may_not_lead_out_of_it(read: Callable[..., Contents], path: str) -> None:
    assert [item.name for item in read(train=f"{path} 0\n").items] == [path]
    with pytest.raises(DatasetError, match=r"train.txt:2 is refused: .* leads out of the archive"):
        read(train=f"a.jpg 0\n{path} 0\n", within=True)
