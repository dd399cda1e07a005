"""Wording of messages."""

from __future__ import annotations

import pytest

from worker.wording import first_few


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat"], "cat"),
        (["cat", "dog"], "cat, dog"),
        (["cat", "dog", "owl", "eel", "fox"], "cat, dog and 3 more"),
    ],
)
def test_names_beyond_the_first_few_are_counted(names: list[str], said: str) -> None:
    assert first_few(names, 2) == said
