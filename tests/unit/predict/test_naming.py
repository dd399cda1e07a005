"""The file names of results: PaddleX's names, and nothing outside the directory."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from worker.predict.naming import OutputName, output_name


@pytest.mark.parametrize(
    ("input_path", "stem", "suffix"),
    [
        ("photos/cat.jpg", "cat", ".jpg"),
        ("cat.JPG", "cat", ".JPG"),
        ("cat.v2.png", "cat.v2", ".png"),
        ("animated.gif", "animated", ".png"),
        ("noext", "noext", ".png"),
        ("report.pdf", "report", ".png"),
        ("https://example.com/a/cat.webp?size=2#top", "cat", ".webp"),
        ("https://example.com/a/k%C3%A4tzchen.jpg", "kätzchen", ".jpg"),
        ("https://example.com/", "image", ".png"),
        ("https://example.com", "image", ".png"),
        ("https://example.com/a/..%2F..%2Fetc%2Fpasswd", "passwd", ".png"),
        ("https://example.com/..%5C..%5Cboot.jpg", "boot", ".jpg"),
        ("https://example.com/a%00b.jpg", "ab", ".jpg"),
        ("https://example.com/%2E%2E", "image", ".png"),
    ],
)
def test_names(input_path: str, stem: str, suffix: str) -> None:
    assert output_name(input_path) == OutputName(stem, suffix)


@pytest.mark.parametrize("length", [300, 5000])
def test_long_names_are_cut_to_what_file_systems_take(length: int) -> None:
    name = output_name("https://example.com/" + "ä" * length + ".jpg")
    assert 190 <= len(name.stem.encode()) <= 200
    assert set(name.stem) == {"ä"}


def test_what_has_no_name_gets_a_new_one_each_time() -> None:
    names = {output_name(None).stem for _ in range(100)}
    assert len(names) == 100
    assert all(PurePath(name).name == name for name in names)
