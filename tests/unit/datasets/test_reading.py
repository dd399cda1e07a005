"""Lists line by line, the paths in them, and the order of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.datasets import reading as module
from worker.datasets.reading import Root, in_order, leads_out, numbered_lines
from worker.errors import DatasetError


def test_lines_have_numbers_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\n  b c \nd")
    assert list(numbered_lines(path)) == [(1, "a"), (3, "b c"), (4, "d")]


def test_what_is_too_large_to_be_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.txt"
    path.write_text("a\n" + "b" * 100 + "\n")
    assert len(list(numbered_lines(path))) == 2
    monkeypatch.setattr(module, "MAX_LINE", 100)
    with pytest.raises(DatasetError, match=r"list.txt:2 has more than 100 characters"):
        list(numbered_lines(path))
    monkeypatch.setattr(module, "MAX_LIST_BYTES", 100)
    with pytest.raises(DatasetError, match=r"list.txt has more than"):
        list(numbered_lines(path))


@pytest.mark.parametrize("text", ["/a", "..", "a/../b", "\\a", "C:a", "c:\\a", "a\\..\\b", "a:b"])
def test_paths_that_lead_out(text: str) -> None:
    assert leads_out(text)


@pytest.mark.parametrize("text", ["a", "a/b c.jpg", "..a/b..", "a\\b", "./a", "ab:c"])
def test_paths_that_do_not(text: str) -> None:
    assert not leads_out(text)


def test_a_backslash_is_a_separator_unless_a_file_has_it_in_its_name(tmp_path: Path) -> None:
    root = Root(tmp_path)
    assert root.find("a\\b", "list:1") == tmp_path / "a" / "b"
    (tmp_path / "a\\b").write_text("x")
    assert root.find("a\\b", "list:1") == tmp_path / "a\\b"


def test_the_order_of_classes() -> None:
    assert in_order(["b", "a", "b", "10", "9"]) == ["10", "9", "a", "b"]
    assert in_order(["10", "9", "010"]) == ["9", "010", "10"]
