"""Names of splits, as folders and tables have them."""

from __future__ import annotations

import pytest

from worker.datasets.dataset import split_named


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("VAL", "val"),
        ("valid", "val"),
        (" validation ", "val"),
        ("test", "test"),
        ("testing", "test"),
        ("images", None),
        ("", None),
    ],
)
def test_the_name_of_a_split(name: str, expected: str | None) -> None:
    assert split_named(name) == expected
